//! Comments on tickets, and activities, which record what happened to them.

use chrono::{DateTime, Utc};
use mainstay_kernel::{caller::Visibility, page::Key};
use uuid::Uuid;

use crate::files::id::FileId;
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
    /// The attached files.
    pub attachments: Vec<FileId>,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When it was last edited, if ever.
    pub edited_at: Option<DateTime<Utc>>,
    /// Whether it is a note, which only staff sees.
    pub is_internal: bool,
}

/// A comment to be created.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    pub body: String,
    /// The attached files.
    pub attachments: Vec<FileId>,
    pub is_internal: bool,
}

/// Who reads the comments and activities of a ticket that the reader reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// A reader who reaches all accounts. Internal notes are for this audience only.
    Staff,
    /// A reader of the ticket's account.
    Customer,
}

impl Audience {
    /// Returns the audience that a caller belongs to.
    pub fn of(visibility: Visibility) -> Self {
        match visibility {
            Visibility::All => Self::Staff,
            Visibility::Account(_) | Visibility::Principal(_) => Self::Customer,
        }
    }

    /// Whether internal notes are shown.
    pub fn sees_notes(self) -> bool {
        self == Self::Staff
    }
}

/// New values for some of a comment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    pub body: Option<String>,
    /// The attached files, all of them.
    pub attachments: Option<Vec<FileId>>,
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

impl Comment {
    /// Returns the position in the list of a ticket's comments.
    pub fn key(&self) -> Key {
        Key { rank: None, time: self.created_at, id: self.id.0 }
    }
}

impl Activity {
    /// Returns the position in the list of a ticket's activities.
    pub fn key(&self) -> Key {
        Key { rank: None, time: self.created_at, id: self.id.0 }
    }
}
