//! What tickets can be filtered by.

/// The queues and tags that tickets have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// In alphabetical order.
    pub queues: Vec<String>,
    /// Of the newest tickets, the most frequent first.
    pub tags: Vec<String>,
}

/// The most queues, and the most tags.
pub const MAX_LABELS: i64 = 200;
/// How many of the newest tickets have their tags read: no index has the tags in an order.
pub const NEWEST_TICKETS: i64 = 10_000;
