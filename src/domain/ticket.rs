//! Tickets: what a customer needs help with, and where that stands.

use chrono::{DateTime, Utc};

use super::{numbered, page::Key};
use crate::{
    error::{Error, Result},
    id::{AccountId, TicketId, UserId},
};

numbered! {
    /// Where a ticket stands.
    Status {
        /// Nobody works on it.
        Open = 1,
        /// An agent works on it.
        InProgress = 2,
        /// It is done.
        Resolved = 3,
    }
}

numbered! {
    /// How urgent a ticket is.
    Priority {
        /// It can wait.
        Low = 1,
        /// Ordinary.
        Medium = 2,
        /// Soon.
        High = 3,
        /// Now.
        Urgent = 4,
    }
}

numbered! {
    /// What kind of request a ticket is.
    Kind {
        /// Something broke.
        Incident = 1,
        /// Something is wanted.
        Request = 2,
        /// The cause of incidents.
        Problem = 3,
        /// Something is to change.
        Change = 4,
    }
}

numbered! {
    /// What happened to a ticket.
    ActivityKind {
        /// It was made.
        Created = 1,
        /// Fields changed.
        Updated = 2,
        /// It went to an agent.
        Assigned = 3,
        /// It went to nobody.
        Unassigned = 4,
        /// It was done.
        Resolved = 5,
        /// It was taken up again.
        Reopened = 6,
        /// A comment was added.
        Commented = 7,
        /// A comment was removed.
        CommentDeleted = 8,
        /// It was removed.
        Deleted = 9,
        /// It came with a file.
        Imported = 10,
    }
}

/// Where a ticket stands, with what belongs to it there. A transition takes the state and may refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nobody works on it.
    Open,
    /// An agent works on it.
    InProgress {
        /// The agent.
        assignee: UserId,
    },
    /// It is done.
    Resolved {
        /// Who worked on it last.
        assignee: Option<UserId>,
        /// When it was done.
        at: DateTime<Utc>,
    },
}

impl State {
    /// The status without what belongs to it.
    pub fn status(self) -> Status {
        match self {
            Self::Open => Status::Open,
            Self::InProgress { .. } => Status::InProgress,
            Self::Resolved { .. } => Status::Resolved,
        }
    }

    /// Who works on it, or did last.
    pub fn assignee(self) -> Option<UserId> {
        match self {
            Self::Open => None,
            Self::InProgress { assignee } => Some(assignee),
            Self::Resolved { assignee, .. } => assignee,
        }
    }

    /// When it was done.
    pub fn resolved_at(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Resolved { at, .. } => Some(at),
            _ => None,
        }
    }

    /// Marks it as done.
    ///
    /// # Errors
    /// `BUSINESS_RULE_VIOLATION` when it is.
    pub fn resolve(self, at: DateTime<Utc>) -> Result<Self> {
        match self {
            Self::Resolved { .. } => Err(Error::rule("The ticket is resolved already.")),
            open => Ok(Self::Resolved { assignee: open.assignee(), at }),
        }
    }

    /// Takes it up again, with whoever worked on it.
    ///
    /// # Errors
    /// `BUSINESS_RULE_VIOLATION` when it is not resolved.
    pub fn reopen(self) -> Result<Self> {
        match self {
            Self::Resolved { assignee: Some(assignee), .. } => Ok(Self::InProgress { assignee }),
            Self::Resolved { assignee: None, .. } => Ok(Self::Open),
            _ => Err(Error::rule("The ticket is not resolved.")),
        }
    }

    /// Gives it to an agent, or to nobody.
    ///
    /// # Errors
    /// `BUSINESS_RULE_VIOLATION` when it is resolved.
    pub fn assign(self, assignee: Option<UserId>) -> Result<Self> {
        match (self, assignee) {
            (Self::Resolved { .. }, _) => Err(Error::rule("The ticket is resolved; reopen it first.")),
            (_, Some(assignee)) => Ok(Self::InProgress { assignee }),
            (_, None) => Ok(Self::Open),
        }
    }
}

/// What a ticket says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// One line.
    pub subject: String,
    /// The text.
    pub body: String,
    /// What kind of request it is.
    pub kind: Kind,
    /// How urgent it is.
    pub priority: Priority,
    /// The team it goes to.
    pub queue: String,
    /// The language of the text, BCP 47.
    pub language: String,
    /// Labels.
    pub tags: Vec<String>,
}

/// The team of a ticket that names none.
pub const DEFAULT_QUEUE: &str = "General Inquiry";
/// The language of a ticket that names none.
pub const DEFAULT_LANGUAGE: &str = "en";

/// A ticket to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The account, unless it is the caller's own.
    pub account: Option<AccountId>,
    /// What it says.
    pub content: Content,
}

/// A ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The ticket.
    pub id: TicketId,
    /// The account it belongs to.
    pub account: AccountId,
    /// The user who asked; `None` when it was imported.
    pub requester: Option<UserId>,
    /// What it says.
    pub content: Content,
    /// Where it stands.
    pub state: State,
    /// Grows by one with each change.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl Ticket {
    /// A new, open ticket.
    pub fn new(account: AccountId, requester: Option<UserId>, content: Content, now: DateTime<Utc>) -> Self {
        let id = TicketId::generate(now);
        Self { id, account, requester, content, state: State::Open, version: 1, created_at: now, updated_at: now }
    }

    /// The next version of the ticket.
    #[must_use]
    pub fn changed(self, now: DateTime<Utc>) -> Self {
        Self { version: self.version + 1, updated_at: now, ..self }
    }
}

/// New values for some of what a ticket says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    /// The subject.
    pub subject: Option<String>,
    /// The text.
    pub body: Option<String>,
    /// The kind.
    pub kind: Option<Kind>,
    /// The priority.
    pub priority: Option<Priority>,
    /// The team.
    pub queue: Option<String>,
    /// The language.
    pub language: Option<String>,
    /// The labels, all of them.
    pub tags: Option<Vec<String>>,
}

impl Patch {
    /// The content with the new values, and the names of the fields that differ now.
    pub fn apply(self, content: Content) -> (Content, Vec<&'static str>) {
        let mut changed = Vec::new();
        let mut content = content;
        macro_rules! take {
            ($field:ident) => {
                if let Some(value) = self.$field {
                    if content.$field != value {
                        content.$field = value;
                        changed.push(stringify!($field));
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
        (content, changed)
    }
}

/// Which tickets a list is of, beyond what the caller reaches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    /// In one of these; empty: any.
    pub statuses: Vec<Status>,
    /// With one of these; empty: any.
    pub priorities: Vec<Priority>,
    /// This agent's.
    pub assignee: Option<UserId>,
    /// This account's.
    pub account: Option<AccountId>,
    /// With these words; empty: any.
    pub query: String,
}

numbered! {
    /// The order of a list.
    Order {
        /// Newest first.
        CreateTimeDesc = 1,
        /// Oldest first.
        CreateTimeAsc = 2,
        /// Last changed first.
        UpdateTimeDesc = 3,
        /// Longest unchanged first.
        UpdateTimeAsc = 4,
        /// Most urgent first, newest first among equals.
        PriorityDesc = 5,
        /// Least urgent first, oldest first among equals.
        PriorityAsc = 6,
    }
}

impl Order {
    /// Whether the greatest comes first.
    pub fn descending(self) -> bool {
        matches!(self, Self::CreateTimeDesc | Self::UpdateTimeDesc | Self::PriorityDesc)
    }
}

impl Ticket {
    /// Where it stands in an order.
    pub fn key(&self, order: Order) -> Key {
        let by_priority = matches!(order, Order::PriorityDesc | Order::PriorityAsc);
        let by_update = matches!(order, Order::UpdateTimeDesc | Order::UpdateTimeAsc);
        Key {
            rank: by_priority.then(|| self.content.priority.number()),
            time: if by_update { self.updated_at } else { self.created_at },
            id: self.id.0,
        }
    }
}
