//! Labels that tickets can be filtered by: queues and tags.

/// The queues and tags that tickets have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// In alphabetical order.
    pub queues: Vec<String>,
    /// The tags of the newest tickets, the most frequent first.
    pub tags: Vec<String>,
}

/// The most queues and the most tags in the result.
pub const MAX_LABELS: i64 = 200;
/// The number of newest tickets whose tags are read, because no index has the tags in an order.
pub const NEWEST_TICKETS: i64 = 10_000;
