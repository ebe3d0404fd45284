//! Where a page of a list begins, and how long the list is.

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Where a row stands in its list's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The number that the order is by first, where it is.
    pub rank: Option<i16>,
    /// The time that the order is by.
    pub time: DateTime<Utc>,
    /// Tells rows of one time apart.
    pub id: Uuid,
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// After so many rows.
    Offset(i64),
    /// Behind a row; costs the same at any depth.
    After(Key),
}

/// How many rows there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    /// The number, or the least it can be.
    pub rows: i64,
    /// Whether there may be more.
    pub lower_bound: bool,
}

impl Total {
    /// A number that was counted to the end.
    pub fn exact(rows: i64) -> Self {
        Self { rows, lower_bound: false }
    }
}
