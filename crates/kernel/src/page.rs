//! Page positions and list totals.

mod token;

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use token::{List, PageTokens};

/// The position of a row in its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The primary sort number, if the list has one.
    pub rank: Option<i16>,
    /// The time by which the list is sorted.
    pub time: DateTime<Utc>,
    /// The tiebreaker for rows with the same time.
    pub id: Uuid,
}

impl Key {
    /// Returns the position in a list that is sorted by time.
    pub fn new(time: DateTime<Utc>, id: Uuid) -> Self {
        Self { rank: None, time, id }
    }
}

/// The beginning of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// After a number of rows. The cost grows with the number.
    Offset(i64),
    /// After the row with this key (keyset pagination). The cost is the same at any depth.
    After(Key),
}

impl Start {
    /// Returns the page of at most `size` rows from here.
    pub fn page(self, size: i64) -> Page {
        Page { start: self, size }
    }
}

/// A page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// The beginning.
    pub start: Start,
    /// The maximum number of rows.
    pub size: i64,
}

impl Page {
    /// Returns the first page.
    pub fn first(size: i64) -> Self {
        Start::Offset(0).page(size)
    }

    /// Returns the page with one more row, whose presence means that another page follows.
    #[must_use]
    pub fn and_next(self) -> Self {
        Self { size: self.size + 1, ..self }
    }

    /// Counts the rows of the list, unless the page starts after a key: the count would cost more than such a page.
    pub async fn total<E>(self, count: impl Future<Output = Result<Total, E>>) -> Result<Option<Total>, E> {
        match self.start {
            Start::Offset(_) => count.await.map(Some),
            Start::After(_) => Ok(None),
        }
    }
}

/// The rows of a page, plus one more if another page follows, and the number of all rows unless the page starts after a key.
pub type Listed<T> = (Vec<T>, Option<Total>);

/// The number of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    /// The exact number, or a lower bound.
    pub rows: i64,
    /// Whether the list may have more rows.
    pub lower_bound: bool,
}

impl Total {
    /// Returns an exact number.
    pub fn exact(rows: i64) -> Self {
        Self { rows, lower_bound: false }
    }
}
