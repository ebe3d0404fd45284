//! Changes of resources, for those who watch.
//!
//! A module notes each change of a resource in the transaction that makes it ([`note`]), in a table that is kept for an
//! hour. Whoever watches gets them in the order of their commits, on whichever instance, and can resume where the last
//! stream broke off. [`grpc::watch`](crate::grpc::watch) makes the stream of an RPC of it.
//!
//! ```text
//! note ─▶ changes ─▶ feed: one reader per process, while anybody watches ─▶ watch: one caller's position ─▶ grpc::watch
//! ```
//!
//! Nothing is sent by `NOTIFY`, which takes a lock over all databases at each commit. The reader looks four times a second,
//! and at once after a commit of its own process. It remembers a snapshot, not a number: what it has not read is what that
//! snapshot does not contain and the present one does. So a transaction that began early and commits late is read when it
//! commits, and delays none of the others, as it would if everything waited for the oldest transaction that runs.

mod cursor;
mod feed;
mod read;
mod store;
mod token;
mod watch;

use std::time::Duration;

use chrono::TimeDelta;
use uuid::Uuid;

use crate::{
    database::{Connection, Database, after_commit},
    error::Result,
    id::AccountId,
};

pub use cursor::{Cursor, Snapshot};
pub use feed::{EntryBatch, Feed, ReadFn};
pub use read::{EntryRow, read};
pub(crate) use store::delete_expired;
pub use token::ResumeTokens;
pub use watch::{Page, Watch};

/// How long a resume token is good for.
pub const RESUME_WINDOW: TimeDelta = TimeDelta::hours(1);
/// How long a change is kept: longer than that, by more than a transaction takes and clocks may differ.
pub(crate) const RETENTION: TimeDelta = TimeDelta::minutes(70);
/// The most changes that are read at once.
pub const BATCH: usize = 200;
/// How often is looked for the changes of other processes.
pub const PERIOD: Duration = Duration::from_millis(250);

/// A change of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The kind of resource, with the name of its module: `support.ticket`.
    pub topic: std::borrow::Cow<'static, str>,
    /// The id of the resource.
    pub resource: Uuid,
    /// The account that the resource belongs to.
    pub account: AccountId,
    /// The user or service key that the resource belongs to, if any.
    pub principal: Option<Uuid>,
    /// The version of the resource after the change, or of the one that was deleted.
    pub version: i64,
    /// Whether the resource was deleted.
    pub is_deleted: bool,
}

/// What stands in an append-only table.
pub trait Entry: Send + Sync + 'static {
    /// The transaction that wrote it, and its number among what that transaction wrote.
    fn position(&self) -> (i64, i64);
}

/// A change and its position in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedChange {
    /// The change.
    pub change: Change,
    position: (i64, i64),
}

impl Entry for RecordedChange {
    fn position(&self) -> (i64, i64) {
        self.position
    }
}

/// Notes changes within the caller's transaction, in one statement, which may be pipelined with others.
///
/// # Errors
/// Any error of Postgres.
pub async fn note(connection: &Connection, changes: &[Change]) -> Result<()> {
    store::insert(connection, changes).await?;
    after_commit::wake_watches();
    Ok(())
}

/// Opens the feed of all changes.
pub(crate) fn open(database: &Database) -> Feed<RecordedChange> {
    Feed::new(database.clone(), |connection, cursor| Box::pin(read::<store::Row>(connection, cursor)))
}
