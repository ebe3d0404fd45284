//! Tickets: customers' requests for help.

pub mod bulk;
pub mod labels;
mod merge;
pub mod stats;

use chrono::{DateTime, Utc};

use crate::files::id::FileId;
use crate::identity::user::model::Language;
use crate::proto::support::v1::Reason as SupportReason;
use crate::support::id::TicketId;
use mainstay_kernel::{
    error::{Error, Result},
    id::{AccountId, UserId},
    numbered::numbered,
    page::Key,
};

numbered! {
    /// The status of a ticket.
    Status {
        /// No agent works on the ticket.
        Open = 1,
        /// An agent works on the ticket.
        InProgress = 2,
        /// The ticket is resolved.
        Resolved = 3,
    }
}

numbered! {
    /// The priority of a ticket.
    Priority {
        /// Low: the ticket can wait.
        Low = 1 => "low",
        Medium = 2 => "medium",
        /// High: the ticket needs attention soon.
        High = 3 => "high",
        /// Urgent: the ticket needs attention now.
        Urgent = 4 => "urgent",
    }
}

numbered! {
    /// The kind of request.
    Kind {
        /// Something is broken.
        Incident = 1 => "incident",
        /// The customer wants something.
        Request = 2 => "request",
        /// The cause of one or more incidents.
        Problem = 3 => "problem",
        /// Something is to be changed.
        Change = 4 => "change",
    }
}

numbered! {
    /// What happened to a ticket.
    ActivityKind {
        /// The ticket was created.
        Created = 1,
        /// Its content changed.
        Updated = 2,
        /// It was assigned to an agent.
        Assigned = 3,
        Unassigned = 4,
        Resolved = 5,
        Reopened = 6,
        /// A comment was added.
        Commented = 7,
        /// A comment was removed.
        CommentDeleted = 8,
        Deleted = 9,
        /// It was imported from a file.
        Imported = 10,
        /// A comment was edited.
        CommentEdited = 11,
        /// An internal note was added.
        NoteAdded = 12,
        /// An internal note was edited.
        NoteEdited = 13,
        /// An internal note was removed.
        NoteDeleted = 14,
        /// Another ticket was merged into it.
        Merged = 15,
        /// It was merged into another ticket.
        MergedInto = 16,
        Linked = 17,
        Unlinked = 18,
    }
}

impl ActivityKind {
    /// The kinds that customers never see.
    pub const INTERNAL: [Self; 3] = [Self::NoteAdded, Self::NoteEdited, Self::NoteDeleted];
}

/// The state of a ticket, with its data. A transition consumes the state and may be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No agent works on the ticket.
    Open,
    /// An agent works on the ticket.
    InProgress { assignee: UserId },
    /// The ticket is resolved.
    Resolved {
        /// The agent who last worked on it.
        assignee: Option<UserId>,
        /// When it was resolved.
        at: DateTime<Utc>,
    },
}

impl State {
    /// Returns the status without its data.
    pub fn status(self) -> Status {
        match self {
            Self::Open => Status::Open,
            Self::InProgress { .. } => Status::InProgress,
            Self::Resolved { .. } => Status::Resolved,
        }
    }

    /// Returns the agent who works, or last worked, on the ticket.
    pub fn assignee(self) -> Option<UserId> {
        match self {
            Self::Open => None,
            Self::InProgress { assignee } => Some(assignee),
            Self::Resolved { assignee, .. } => assignee,
        }
    }

    /// Returns when it was resolved.
    pub fn resolved_at(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Resolved { at, .. } => Some(at),
            _ => None,
        }
    }

    /// Resolves the ticket.
    ///
    /// # Errors
    /// `TICKET_RESOLVED`.
    pub fn resolve(self, at: DateTime<Utc>) -> Result<Self> {
        match self {
            Self::Resolved { .. } => Err(SupportReason::TicketResolved.into()),
            open => Ok(Self::Resolved { assignee: open.assignee(), at }),
        }
    }

    /// Reopens the ticket, with the agent who last worked on it.
    ///
    /// # Errors
    /// `TICKET_NOT_RESOLVED`.
    pub fn reopen(self) -> Result<Self> {
        match self {
            Self::Resolved { assignee: Some(assignee), .. } => Ok(Self::InProgress { assignee }),
            Self::Resolved { assignee: None, .. } => Ok(Self::Open),
            _ => Err(SupportReason::TicketNotResolved.into()),
        }
    }

    /// Assigns the ticket to an agent, or unassigns it.
    ///
    /// # Errors
    /// `TICKET_RESOLVED`.
    pub fn assign(self, assignee: Option<UserId>) -> Result<Self> {
        match (self, assignee) {
            (Self::Resolved { .. }, _) => {
                Err(Error::with_message(SupportReason::TicketResolved, "The ticket is resolved; reopen it first."))
            }
            (_, Some(assignee)) => Ok(Self::InProgress { assignee }),
            (_, None) => Ok(Self::Open),
        }
    }
}

/// The content of a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The subject, one line.
    pub subject: String,
    /// The text.
    pub body: String,
    /// The kind of request.
    pub kind: Kind,
    pub priority: Priority,
    /// The team that handles the ticket.
    pub queue: String,
    /// The language of the text.
    pub language: Language,
    /// Labels.
    pub tags: Vec<String>,
    /// The attached files.
    pub attachments: Vec<FileId>,
}

/// The team of a ticket that does not name one.
pub const DEFAULT_QUEUE: &str = "General Inquiry";

/// A ticket to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The account, unless it is the caller's own.
    pub account: Option<AccountId>,
    pub content: Content,
}

/// A ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    pub id: TicketId,
    /// The account it belongs to.
    pub account: AccountId,
    /// The user who created the ticket, or one that was merged into it; `None` if it was imported or created by a service key.
    pub requester: Option<UserId>,
    pub content: Content,
    pub state: State,
    /// The ticket that it was merged into; it is resolved for good.
    pub merged_into: Option<TicketId>,
    /// The version, which each change increments by one.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last updated.
    pub updated_at: DateTime<Utc>,
}

impl Ticket {
    /// Creates an open ticket.
    pub fn new(account: AccountId, requester: Option<UserId>, content: Content, now: DateTime<Utc>) -> Self {
        let id = TicketId::generate(now);
        Self {
            id,
            account,
            requester,
            content,
            state: State::Open,
            merged_into: None,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    /// Returns the next version.
    #[must_use]
    pub fn next_version(self, now: DateTime<Utc>) -> Self {
        Self { version: self.version + 1, updated_at: now, ..self }
    }
}

/// New values for some of a ticket's content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    pub subject: Option<String>,
    /// The text.
    pub body: Option<String>,
    pub kind: Option<Kind>,
    pub priority: Option<Priority>,
    /// The team.
    pub queue: Option<String>,
    pub language: Option<Language>,
    /// The labels, all of them.
    pub tags: Option<Vec<String>>,
    /// The attached files, all of them.
    pub attachments: Option<Vec<FileId>>,
}

impl Patch {
    /// Returns the content with the new values, and the names of the fields that changed.
    pub fn apply(self, content: Content) -> (Content, Vec<&'static str>) {
        let mut fields = Vec::new();
        let mut content = content;
        macro_rules! take {
            ($field:ident) => {
                if let Some(value) = self.$field {
                    if content.$field != value {
                        content.$field = value;
                        fields.push(stringify!($field));
                    }
                }
            };
        }
        take!(subject);
        take!(body);
        take!(kind);
        take!(priority);
        take!(queue);
        take!(language);
        take!(tags);
        take!(attachments);
        (content, fields)
    }
}

/// A filter of tickets, in addition to the caller's visibility.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    /// Only those with one of these statuses; all if empty.
    pub statuses: Vec<Status>,
    /// Only those with one of these priorities; all if empty.
    pub priorities: Vec<Priority>,
    /// Only those of this agent.
    pub assignee: Option<UserId>,
    /// Only those of this account.
    pub account: Option<AccountId>,
    /// Only those that match these words; all if empty.
    pub query: String,
    /// Only those in one of these queues; all if empty.
    pub queues: Vec<String>,
    /// Only those with all of these tags.
    pub tags: Vec<String>,
    /// Only those of one of these kinds; all if empty.
    pub kinds: Vec<Kind>,
    /// Only those created at this time or later.
    pub created_from: Option<DateTime<Utc>>,
    /// Only those created before this time.
    pub created_before: Option<DateTime<Utc>>,
}

impl Filter {
    /// Returns whether the counters of tickets, which know status, priority, account and assignee, cover the filter.
    pub fn is_counted(&self) -> bool {
        let Self { query, queues, tags, kinds, created_from, created_before, .. } = self;
        let lists_are_empty = query.is_empty() && queues.is_empty() && tags.is_empty() && kinds.is_empty();
        lists_are_empty && created_from.is_none() && created_before.is_none()
    }
}

numbered! {
    /// The order of a list.
    Order {
        /// Newest first.
        CreateTimeDesc = 1,
        /// Oldest first.
        CreateTimeAsc = 2,
        /// Most recently updated first.
        UpdateTimeDesc = 3,
        /// Least recently updated first.
        UpdateTimeAsc = 4,
        /// Most urgent first, newest first among equals.
        PriorityDesc = 5,
        /// Least urgent first, oldest first among equals.
        PriorityAsc = 6,
    }
}

impl Order {
    /// Returns whether the list is sorted in descending order.
    pub fn descending(self) -> bool {
        matches!(self, Self::CreateTimeDesc | Self::UpdateTimeDesc | Self::PriorityDesc)
    }

    /// Returns whether the list is sorted by priority first.
    pub fn by_priority(self) -> bool {
        matches!(self, Self::PriorityDesc | Self::PriorityAsc)
    }
}

impl Ticket {
    /// Returns the position in a list.
    pub fn key(&self, order: Order) -> Key {
        let by_update = matches!(order, Order::UpdateTimeDesc | Order::UpdateTimeAsc);
        Key {
            rank: order.by_priority().then(|| self.content.priority.number()),
            time: if by_update { self.updated_at } else { self.created_at },
            id: self.id.0,
        }
    }
}
