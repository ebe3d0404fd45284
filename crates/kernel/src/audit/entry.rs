//! The rows of `audit_entries`. The id of a row contains its time.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{
    context::{ActorKind, Origin},
    id,
    numbered::numbered,
    secret::random,
};

numbered! {
    /// The outcome of an act on a resource.
    Outcome {
        /// The act was carried out.
        Done = 1,
        /// The act was refused.
        Refused = 2,
    }
}

/// The maximum length of a method, a kind or a user agent, in characters. Longer ones are cut.
const MAX_TEXT_CHARS: usize = 200;

#[derive(Debug)]
pub(crate) struct Entry {
    pub(super) id: Uuid,
    pub(super) method: String,
    pub(super) outcome: i16,
    pub(super) actor_kind: i16,
    pub(super) actor_id: Option<Uuid>,
    pub(super) account_id: Option<Uuid>,
    pub(super) resource_kind: String,
    pub(super) resource_id: Option<Uuid>,
    pub(super) request_id: Option<String>,
    pub(super) changes: String,
    pub(super) personal: Option<Personal>,
}

/// The personal values of an entry: their JSON, the salt, and the digest of both, which remains after an erasure.
#[derive(Debug)]
pub(super) struct Personal {
    pub(super) text: String,
    pub(super) salt: [u8; 16],
    pub(super) digest: [u8; 32],
}

#[derive(Debug)]
pub(super) struct Resource {
    pub(super) kind: String,
    pub(super) id: Option<Uuid>,
    pub(super) account: Option<Uuid>,
}

impl Entry {
    /// Makes an entry. `open` and `personal` have the changed fields, by name: those to keep, and those to erase on demand.
    pub(super) fn new(
        origin: &Origin,
        request: Option<&str>,
        outcome: Outcome,
        resource: Resource,
        (open, personal): (Map<String, Value>, Map<String, Value>),
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            id: id::new(now),
            method: origin.method.chars().take(MAX_TEXT_CHARS).collect(),
            outcome: outcome.number(),
            actor_kind: origin.actor.number(),
            actor_id: origin.actor_id,
            account_id: resource.account,
            resource_kind: resource.kind.chars().take(MAX_TEXT_CHARS).collect(),
            resource_id: resource.id,
            request_id: request.map(str::to_owned),
            changes: Value::Object(open).to_string(),
            personal: Personal::new(origin, personal),
        }
    }
}

impl Personal {
    fn new(origin: &Origin, fields: Map<String, Value>) -> Option<Self> {
        let agent = origin.user_agent.as_deref().map(|agent| agent.chars().take(MAX_TEXT_CHARS).collect::<String>());
        let mut values = Map::new();
        if origin.actor != ActorKind::System {
            values.extend(origin.client.map(|address| ("clientAddress".to_owned(), json!(address.to_canonical()))));
            values.extend(agent.map(|agent| ("userAgent".to_owned(), json!(agent))));
        }
        values.extend(origin.reason.clone().map(|reason| ("reason".to_owned(), json!(reason))));
        if !fields.is_empty() {
            values.insert("fields".to_owned(), Value::Object(fields));
        }
        if values.is_empty() {
            return None;
        }
        let (text, salt) = (Value::Object(values).to_string(), random());
        let digest = Sha256::new().chain_update(salt).chain_update(&text).finalize().into();
        Some(Self { text, salt, digest })
    }
}
