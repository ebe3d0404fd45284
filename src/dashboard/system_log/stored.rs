//! A line where it is stored, for those who watch the log.

use mainstay_kernel::changes::Entry;

use crate::dashboard::system_log::model::Line;

/// A line where it is stored.
#[derive(Debug)]
pub struct StoredLine {
    pub line: Line,
    /// The transaction that stored it, and its number in that transaction.
    pub position: (i64, i64),
}

impl Entry for StoredLine {
    fn position(&self) -> (i64, i64) {
        self.position
    }
}
