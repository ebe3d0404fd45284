//! Labels that tickets can be filtered by: queues and tags. Customers choose them freely, so the labels of many accounts come
//! before those of one.

/// The queues and tags that tickets have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// In alphabetical order.
    pub queues: Vec<String>,
    /// The tags of the newest tickets: those of the most accounts first, then the most frequent.
    pub tags: Vec<String>,
}

/// The most queues and the most tags in the result.
pub const MAX_LABELS: i64 = 200;
/// The most queues that are compared, the first by alphabet. Each takes two index lookups.
pub const MAX_COMPARED_QUEUES: i64 = 10_000;
/// The number of newest tickets of each queue whose accounts are counted.
pub const COMPARED_TICKETS: i64 = 100;
/// The number of newest tickets whose tags are read, because no index has the tags in an order.
pub const NEWEST_TICKETS: i64 = 10_000;
