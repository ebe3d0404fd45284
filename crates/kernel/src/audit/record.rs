//! What is recorded about one resource.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    entry::{Entry, Outcome, Resource},
    image::{self, Audited, Image},
};
use crate::{
    caller::{APPLICATION, IMPERSONATOR},
    context::{ActorKind, Origin},
    contract::policy::{Privacy, Subject, kind_of},
    error::Result,
    id::{AccountId, UserId},
};

/// An act on one resource.
#[derive(Debug)]
pub struct Record {
    kind: String,
    id: Option<Uuid>,
    account: Option<Uuid>,
    outcome: Outcome,
    before: Option<Image>,
    after: Option<Image>,
    facts: Map<String, Value>,
    personal_facts: Map<String, Value>,
    /// The actor, if the request had no credentials yet.
    actor: Option<(ActorKind, Uuid)>,
    /// Whether an update that changed nothing is recorded.
    is_certain: bool,
}

impl Record {
    /// Records an act on a resource, whose fields stay as they are.
    pub fn about(kind: impl Into<String>, id: Option<Uuid>, account: Option<AccountId>) -> Self {
        let (facts, personal_facts) = (Map::new(), Map::new());
        let (kind, account, outcome) = (kind.into(), account.map(|account| account.0), Outcome::Done);
        let (before, after, actor) = (None, None, None);
        Self { kind, id, account, outcome, before, after, facts, personal_facts, actor, is_certain: true }
    }

    /// Records a new resource.
    pub fn created<R: Audited>(after: &R) -> Self {
        Self::of_images(None, Some(Image::of(after)))
    }

    /// Records a change of a resource. If no field differs, there is no entry.
    pub fn updated<R: Audited>(before: &R, after: &R) -> Self {
        Self { is_certain: false, ..Self::of_images(Some(Image::of(before)), Some(Image::of(after))) }
    }

    /// Records that a call left a resource as it is: neither the record nor the response adds an entry about it.
    pub fn unchanged<R: Audited>(resource: &R) -> Self {
        let image = Image::of(resource);
        Self { is_certain: false, ..Self::of_images(Some(image.clone()), Some(image)) }
    }

    /// Records a deletion.
    pub fn deleted<R: Audited>(before: &R) -> Self {
        Self::of_images(Some(Image::of(before)), None)
    }

    fn of_images(before: Option<Image>, after: Option<Image>) -> Self {
        let kind = before.as_ref().or(after.as_ref()).map(|image| kind_of(image.name())).unwrap_or_default();
        Self { before, after, ..Self::about(kind, None, None) }
    }

    /// The act was refused.
    #[must_use]
    pub fn refused(self) -> Self {
        Self { outcome: Outcome::Refused, ..self }
    }

    /// Names the actor of a request that had no credentials, such as a sign-in.
    #[must_use]
    pub fn by(self, user: UserId, is_staff: bool) -> Self {
        let kind = if is_staff { ActorKind::Staff } else { ActorKind::User };
        Self { actor: Some((kind, user.0)), ..self }
    }

    /// Adds a fact that is not a field of the resource.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(name.to_owned(), json!({ "after": value.into() }));
        self
    }

    /// Adds a personal fact.
    #[must_use]
    pub fn with_personal(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(name.to_owned(), json!({}));
        self.personal_facts.insert(name.to_owned(), json!({ "after": value.into() }));
        self
    }

    /// Returns the records of a call: one for each resource in its response, and otherwise one for the resource that its
    /// request names. `before` has the resources as they were locked.
    pub(crate) fn of_call(
        privacy: &Privacy,
        subject: &Subject,
        id: Option<Uuid>,
        response: &[u8],
        before: &[Image],
    ) -> Vec<Self> {
        let find = |id: Option<Uuid>| before.iter().find(|image| id.is_some() && image.id(privacy) == id).cloned();
        let Some((resources, name)) = subject.resources(response) else {
            return vec![match find(id) {
                Some(earlier) if subject.is_deleted => Self { id, ..Self::of_images(Some(earlier), None) },
                _ => Self::about(subject.kind.clone(), id, None),
            }];
        };
        let records = resources.into_iter().map(|encoded| {
            let after = Image::new(name.to_owned(), encoded.to_vec());
            let id = after.id(privacy);
            let earlier = find(id).filter(|earlier| earlier.name() == name);
            let is_certain = earlier.is_none();
            Self { id, is_certain, ..Self::of_images(earlier, Some(after)) }
        });
        records.collect()
    }

    /// Returns whether the record is about the same resource as another one.
    pub(crate) fn is_about_that_of(&self, other: &Self, privacy: &Privacy) -> bool {
        self.kind == other.kind && self.resource(privacy) == other.resource(privacy)
    }

    fn resource(&self, privacy: &Privacy) -> Option<Uuid> {
        let image = self.after.as_ref().or(self.before.as_ref());
        self.id.or_else(|| image?.id(privacy))
    }

    /// Sets the account, unless there is one.
    #[must_use]
    pub fn in_account(self, account: Option<AccountId>) -> Self {
        Self { account: self.account.or(account.map(|account| account.0)), ..self }
    }

    /// Makes the entry; `None` for an update that changed nothing.
    /// Errors: `INTERNAL_ERROR` for a message that is not of the contract.
    pub(super) fn entry(
        self,
        privacy: &Privacy,
        origin: &Origin,
        request: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Option<Entry>> {
        let fields = |image: &Option<Image>| image.as_ref().map(|image| image.fields(privacy)).transpose();
        let (before, after) = (fields(&self.before)?.unwrap_or_default(), fields(&self.after)?.unwrap_or_default());
        let find = |name: &str| image::id(&after, name).or_else(|| image::id(&before, name));
        // An account sees no internal comment of its tickets here either.
        let is_internal = [&before, &after].iter().any(|fields| fields.get("internal") == Some(&Value::Bool(true)));
        let own = origin.account.filter(|_| matches!(origin.actor, ActorKind::User | ActorKind::Service));
        let account = find("accountId").or(self.account).or(own).filter(|_| !is_internal);
        let resource = Resource { id: self.id.or_else(|| find("id")), account, kind: self.kind };
        // A change of what no message shows, such as a secret, raises the version at least.
        let is_same_version = before.get("version") == after.get("version");
        let name = self.before.as_ref().or(self.after.as_ref()).map(|image| image.name().to_owned());
        let (mut open, mut personal) = match name {
            Some(name) => image::difference(privacy, &name, before, after)?,
            None => Default::default(),
        };
        if open.is_empty() && is_same_version && !self.is_certain {
            return Ok(None);
        }
        open.extend(self.facts);
        for (fact, id) in [(IMPERSONATOR, origin.impersonator), (APPLICATION, origin.application)] {
            open.extend(id.map(|id| (fact.to_owned(), json!({ "after": id }))));
        }
        personal.extend(self.personal_facts);
        let mut entry = Entry::new(origin, request, self.outcome, resource, (open, personal), now);
        if let Some((kind, id)) = self.actor {
            (entry.actor_kind, entry.actor_id) = (kind.number(), Some(id));
        }
        Ok(Some(entry))
    }
}
