//! Comments on tickets, and activities, which record what happened to them.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::support::id::{ActivityId, CommentId, TicketId};
use crate::support::ticket::model::ActivityKind;

/// A comment on a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    pub id: CommentId,
    pub ticket: TicketId,
    /// The user or service key that wrote it; `None` if it was imported.
    pub author: Option<Uuid>,
    /// The number of the author's role at the time; 0 if it was imported.
    pub author_role: i16,
    /// The text.
    pub body: String,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When its text was last edited, if ever.
    pub edited_at: Option<DateTime<Utc>>,
}

/// Something that happened to a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    pub id: ActivityId,
    pub ticket: TicketId,
    /// The user or service key that did it; `None` for the system.
    pub actor: Option<Uuid>,
    /// The number of the actor's role at the time; 0 for the system.
    pub actor_role: i16,
    /// What happened.
    pub kind: ActivityKind,
    /// Details, as text.
    pub detail: String,
    /// When it happened.
    pub created_at: DateTime<Utc>,
}
