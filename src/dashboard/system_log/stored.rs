//! Stored lines, for watchers of the log.

use mainstay_kernel::changes::Entry;

use crate::dashboard::system_log::model::Line;

/// A stored line.
#[derive(Debug)]
pub struct StoredLine {
    pub line: Line,
    /// The transaction that stored the line, and the line's number in that transaction.
    pub position: (i64, i64),
}

impl Entry for StoredLine {
    fn position(&self) -> (i64, i64) {
        self.position
    }
}
