//! Exports and their states: `Pending => Running => Succeeded`, or `Failed`.

use chrono::{DateTime, TimeDelta, Utc};
use mainstay_kernel::{
    id::{AccountId, UserId},
    numbered::numbered,
};
use uuid::Uuid;

use crate::identity::data_export::id::DataExportId;

/// The exports that a user may begin in [`LIMIT_PERIOD`].
pub const MAX_EXPORTS: i64 = 3;
/// The period of the limit.
pub const LIMIT_PERIOD: TimeDelta = TimeDelta::days(1);

numbered! {
    /// The status of an export.
    Status {
        /// The export waits for a worker.
        Pending = 1,
        /// A worker is writing the archive.
        Running = 2,
        /// The archive can be downloaded until it expires.
        Succeeded = 3,
        /// The archive could not be written.
        Failed = 4,
    }
}

/// The archive of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Archive {
    /// The id in the storage of files.
    pub id: Uuid,
    pub size_bytes: i64,
    pub expires_at: DateTime<Utc>,
}

/// An export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataExport {
    pub id: DataExportId,
    /// The user who requested it.
    pub user: UserId,
    /// The account whose data it has; `None` for that of the user.
    pub account: Option<AccountId>,
    pub status: Status,
    /// The number of tables and files; 0 until they are counted.
    pub items_total: i64,
    pub items_done: i64,
    /// The archive, once the export has succeeded.
    pub archive: Option<Archive>,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
}

impl DataExport {
    /// Creates a pending export.
    pub fn new(user: UserId, account: Option<AccountId>, now: DateTime<Utc>) -> Self {
        Self {
            id: DataExportId::generate(now),
            user,
            account,
            status: Status::Pending,
            items_total: 0,
            items_done: 0,
            archive: None,
            created_at: now,
            finished_at: None,
        }
    }

    /// Returns whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.finished_at.is_some()
    }

    /// Begins it, or begins it again after a crash.
    #[must_use]
    pub fn run(self, items_total: i64) -> Self {
        Self { status: Status::Running, items_total, items_done: 0, ..self }
    }

    /// Completes it.
    #[must_use]
    pub fn succeed(self, archive: Archive, now: DateTime<Utc>) -> Self {
        let items_done = self.items_total;
        Self { status: Status::Succeeded, items_done, archive: Some(archive), finished_at: Some(now), ..self }
    }

    /// Fails it.
    #[must_use]
    pub fn fail(self, now: DateTime<Utc>) -> Self {
        Self { status: Status::Failed, finished_at: Some(now), ..self }
    }
}
