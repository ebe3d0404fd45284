//! Bulk changes: one change of many tickets, and its undo. Each ticket is changed as by a change of this ticket alone, or
//! skipped for the same reason.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{ActivityKind, Filter, Kind, Patch, Priority, State, Status, Ticket};
use crate::support::id::TicketId;
use mainstay_kernel::{
    error::{Error, Reason, Result},
    id::UserId,
    numbered::numbered,
};

/// The maximum number of tickets of a bulk change.
pub const MAX_TICKETS: usize = 10_000;

/// The maximum number of tags of a ticket.
const MAX_TAGS: usize = 20;

/// The time after the end of a bulk change in which it can be undone.
pub const UNDO_WINDOW: TimeDelta = TimeDelta::hours(24);

/// The tickets to change.
#[derive(Debug, Clone)]
pub enum Selection {
    Ids(Vec<TicketId>),
    /// The matching tickets at the time of the request.
    Filter(Filter),
}

/// A change of each ticket. It is part of a stored job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BulkChange {
    Update(BulkPatch),
    Assign { assignee: Option<UserId> },
    Resolve,
    Delete,
}

/// New values of several tickets, with the numbers of the enums.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkPatch {
    pub kind: Option<i16>,
    pub priority: Option<i16>,
    /// The team.
    pub queue: Option<String>,
    pub add_tags: Vec<String>,
    pub remove_tags: Vec<String>,
}

impl BulkPatch {
    /// Returns the patch of a ticket with these tags.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` if the ticket would have too many tags.
    fn for_tags(&self, tags: &[String]) -> Result<Patch> {
        let kept = tags.iter().filter(|tag| !self.remove_tags.contains(tag));
        let added = self.add_tags.iter().filter(|tag| !tags.contains(tag));
        let next: Vec<_> = kept.chain(added).cloned().collect();
        if next.len() > MAX_TAGS && next.len() > tags.len() {
            let message = format!("The ticket would have more than {MAX_TAGS} tags.");
            return Err(Error::with_message(Reason::ValidationFailed, message));
        }
        Ok(Patch {
            kind: self.kind.and_then(|number| Kind::from_number(number.into())),
            priority: self.priority.and_then(|number| Priority::from_number(number.into())),
            queue: self.queue.clone(),
            tags: Some(next),
            ..Patch::default()
        })
    }
}

/// What a change does to a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The ticket has the values already.
    Unchanged,
    /// The ticket is stored in its next version, with an activity and its detail.
    Changed(Box<Ticket>, ActivityKind, String),
    Deleted,
}

impl Effect {
    fn of_state(ticket: &Ticket, state: State, kind: ActivityKind, now: DateTime<Utc>) -> Self {
        let detail = state.assignee().map(|assignee| assignee.to_string()).unwrap_or_default();
        Self::Changed(Box::new(Ticket { state, ..ticket.clone() }.next_version(now)), kind, detail)
    }
}

impl BulkChange {
    /// Returns what the change does to a ticket.
    ///
    /// # Errors
    /// Those of the change of a single ticket, for which the ticket is skipped.
    pub fn apply(&self, ticket: &Ticket, now: DateTime<Utc>) -> Result<Effect> {
        match self {
            Self::Update(patch) => {
                let patch = patch.for_tags(&ticket.content.tags)?;
                let (content, fields) = patch.apply(ticket.content.clone());
                if fields.is_empty() {
                    return Ok(Effect::Unchanged);
                }
                ticket.check_unmerged()?;
                let next = Ticket { content, ..ticket.clone() }.next_version(now);
                Ok(Effect::Changed(Box::new(next), ActivityKind::Updated, fields.join(", ")))
            }
            Self::Assign { assignee } => {
                let state = ticket.state.assign(*assignee)?;
                if state == ticket.state {
                    return Ok(Effect::Unchanged);
                }
                Ok(Effect::of_state(ticket, state, assigned(state), now))
            }
            Self::Resolve => Ok(Effect::of_state(ticket, ticket.state.resolve(now)?, ActivityKind::Resolved, now)),
            Self::Delete => Ok(Effect::Deleted),
        }
    }
}

fn assigned(state: State) -> ActivityKind {
    if state.assignee().is_some() { ActivityKind::Assigned } else { ActivityKind::Unassigned }
}

numbered! {
    /// What a bulk change, or its undo, did to a ticket.
    Outcome {
        /// Nothing yet.
        Pending = 0,
        Changed = 1,
        /// The ticket had the values.
        Unchanged = 2,
        /// The change was refused, or the ticket does not exist.
        Skipped = 3,
        Deleted = 4,
        /// The ticket has the earlier values again.
        Restored = 5,
        /// The undo was refused, because the ticket was changed or deleted since.
        Kept = 6,
    }
}

/// What a change of a ticket replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// The version that the change made.
    pub version: i64,
    pub status: Status,
    pub kind: Kind,
    pub priority: Priority,
    pub queue: String,
    pub tags: Vec<String>,
    pub assignee: Option<UserId>,
}

impl Replaced {
    /// Returns what the undo does to a ticket.
    ///
    /// # Errors
    /// `CONFLICT` if the ticket was changed since.
    pub fn restore(self, ticket: &Ticket, now: DateTime<Utc>) -> Result<Effect> {
        if ticket.version != self.version {
            return Err(Error::with_message(Reason::Conflict, "The ticket was changed since."));
        }
        // The change was either of the state or of the content.
        match (ticket.state, self.status) {
            (State::Resolved { .. }, Status::Resolved) => {}
            (resolved @ State::Resolved { .. }, _) => {
                return Ok(Effect::of_state(ticket, resolved.reopen()?, ActivityKind::Reopened, now));
            }
            (state, _) if state.assignee() != self.assignee => {
                let state = state.assign(self.assignee)?;
                return Ok(Effect::of_state(ticket, state, assigned(state), now));
            }
            _ => {}
        }
        let Self { kind, priority, queue, tags, .. } = self;
        let (kind, priority, queue, tags) = (Some(kind), Some(priority), Some(queue), Some(tags));
        let patch = Patch { kind, priority, queue, tags, ..Patch::default() };
        let (content, fields) = patch.apply(ticket.content.clone());
        let next = Ticket { content, ..ticket.clone() }.next_version(now);
        Ok(Effect::Changed(Box::new(next), ActivityKind::Updated, fields.join(", ")))
    }
}

/// What a bulk change would do.
#[derive(Debug, Clone, Default)]
pub struct Preview {
    pub changed: i64,
    pub unchanged: i64,
    /// The tickets that would be skipped, by the reason.
    pub skipped: Vec<Skip>,
}

/// Tickets that would be skipped for the same reason.
#[derive(Debug, Clone)]
pub struct Skip {
    /// The code of a [`Reason`].
    pub code: &'static str,
    pub tickets: i64,
    /// The ids of the first ones.
    pub examples: Vec<TicketId>,
}

/// The maximum number of ids per reason in a preview.
const EXAMPLES: usize = 10;

impl Preview {
    /// Counts what the change would do to a ticket.
    pub fn add(&mut self, id: TicketId, effect: &Result<Effect>) {
        let code = match effect {
            Ok(Effect::Unchanged) => {
                self.unchanged += 1;
                return;
            }
            Ok(_) => {
                self.changed += 1;
                return;
            }
            Err(error) => error.reason().facts().code,
        };
        let known = self.skipped.iter().position(|skip| skip.code == code);
        let index = known.unwrap_or_else(|| {
            self.skipped.push(Skip { code, tickets: 0, examples: Vec::new() });
            self.skipped.len() - 1
        });
        let skip = &mut self.skipped[index];
        skip.tickets += 1;
        if skip.examples.len() < EXAMPLES {
            skip.examples.push(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{identity::user::model::Language, support::ticket::model::Content};
    use mainstay_kernel::id::AccountId;

    fn ticket() -> Ticket {
        let content = Content {
            subject: "One".to_owned(),
            body: "Two".to_owned(),
            kind: Kind::Request,
            priority: Priority::Low,
            queue: "Billing".to_owned(),
            language: Language::default(),
            tags: vec!["old".to_owned(), "kept".to_owned()],
            attachments: Vec::new(),
        };
        let now = DateTime::<Utc>::default();
        Ticket::new(AccountId::generate(now), None, content, now)
    }

    fn replaced(ticket: &Ticket) -> Replaced {
        let Content { kind, priority, queue, tags, .. } = ticket.content.clone();
        let (status, assignee) = (ticket.state.status(), ticket.state.assignee());
        Replaced { version: ticket.version + 1, status, kind, priority, queue, tags, assignee }
    }

    #[test]
    fn an_undo_restores_what_each_change_replaced() {
        let now = DateTime::<Utc>::default();
        let agent = UserId::generate(now);
        let assigned = Ticket { state: State::InProgress { assignee: agent }, ..ticket() };
        let resolved = Ticket { state: State::Resolved { assignee: None, at: now }, ..ticket() };
        let patch = BulkPatch {
            priority: Some(Priority::High.number()),
            add_tags: vec!["new".to_owned()],
            remove_tags: vec!["old".to_owned()],
            ..BulkPatch::default()
        };
        let update = BulkChange::Update(patch);
        for (before, change, undone_by) in [
            (ticket(), update.clone(), ActivityKind::Updated),
            (resolved, update, ActivityKind::Updated),
            (ticket(), BulkChange::Assign { assignee: Some(agent) }, ActivityKind::Unassigned),
            (assigned.clone(), BulkChange::Assign { assignee: None }, ActivityKind::Assigned),
            (ticket(), BulkChange::Resolve, ActivityKind::Reopened),
            (assigned, BulkChange::Resolve, ActivityKind::Reopened),
        ] {
            let Ok(Effect::Changed(after, ..)) = change.apply(&before, now) else { panic!("{change:?}") };
            let Ok(Effect::Changed(undone, kind, _)) = replaced(&before).restore(&after, now) else {
                panic!("{change:?}")
            };
            assert_eq!(kind, undone_by, "{change:?}");
            assert_eq!(*undone, Ticket { version: before.version + 2, ..before.clone() }, "{change:?}");
            let since = after.next_version(now);
            let refused = replaced(&before).restore(&since, now).expect_err("changed since");
            assert_eq!(refused.reason(), Reason::Conflict);
        }
    }

    #[test]
    fn tags_are_added_up_to_the_limit() {
        let add = |count: usize| BulkPatch {
            add_tags: (0..count).map(|number| number.to_string()).collect(),
            ..BulkPatch::default()
        };
        let tags =
            |patch: BulkPatch| patch.for_tags(&ticket().content.tags).map(|patch| patch.tags.unwrap_or_default());
        assert_eq!(tags(add(1)).expect("few"), ["old", "kept", "0"]);
        assert_eq!(tags(add(18)).expect("as many as a ticket may have").len(), MAX_TAGS);
        assert_eq!(tags(add(19)).expect_err("too many").reason(), Reason::ValidationFailed);
    }
}
