//! Comments and activities: what is said about a ticket, and what happened to it.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::ticket::ActivityKind;
use crate::id::{ActivityId, CommentId, TicketId};

/// Something said about a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// The comment.
    pub id: CommentId,
    /// The ticket.
    pub ticket: TicketId,
    /// The user or service key that wrote it; `None` when it was imported.
    pub author: Option<Uuid>,
    /// The number of the role it was written in; 0: imported.
    pub author_role: i16,
    /// The text.
    pub body: String,
    /// When it was written.
    pub created_at: DateTime<Utc>,
}

/// Something that happened to a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// The activity.
    pub id: ActivityId,
    /// The ticket.
    pub ticket: TicketId,
    /// The user or service key that did it; `None`: the system.
    pub actor: Option<Uuid>,
    /// The number of the role it was done in; 0: the system.
    pub actor_role: i16,
    /// What happened.
    pub kind: ActivityKind,
    /// More, in words.
    pub detail: String,
    /// When it happened.
    pub created_at: DateTime<Utc>,
}
