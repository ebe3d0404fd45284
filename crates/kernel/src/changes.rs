//! Changes of resources, for watches and for the cache.
//!
//! A module records each change of a resource in the transaction that makes it ([`record`]). The table keeps changes for an
//! hour. Watches on every instance receive them in the order of their commits, and can resume at the end of an interrupted
//! stream. [`grpc::watch`](crate::grpc::watch) makes the stream of an RPC of a watch. The [cache](crate::cache) drops the
//! values that a change replaces.
//!
//! ```text
//! note ─▶ changes ─▶ feed: one reader per process ─┬▶ watch: one caller's position ─▶ grpc::watch
//!                                                  └▶ cache
//! ```
//!
//! `NOTIFY` is not used, because it takes a lock over all databases at each commit. The reader looks four times a second, and
//! at once after a commit of its process. Its position is a snapshot, not a number: the unread changes are the
//! changes in the current snapshot that the old one lacks. A transaction that began early and commits late is therefore read when it
//! commits, and delays no other transaction.

mod cursor;
mod feed;
mod read;
mod store;
mod token;
mod watch;

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use tokio::{sync::broadcast::error::RecvError, time::sleep};
use uuid::Uuid;

use crate::{
    database::{Connection, Database, after_commit, outdated::Outdated},
    error::Result,
    id::AccountId,
};
use feed::RETRY_DELAY;

pub use cursor::{Cursor, Snapshot};
pub use feed::{EntryBatch, Feed, ReadFn};
pub use read::{EntryRow, read};
pub(crate) use store::delete_expired;
pub use token::ResumeTokens;
pub use watch::{Page, Watch};

/// The lifetime of a resume token.
pub const RESUME_WINDOW: TimeDelta = TimeDelta::hours(1);
/// How long a change is kept: longer than the lifetime of a token, by more than the longest transaction and the difference
/// of clocks.
pub(crate) const RETENTION: TimeDelta = TimeDelta::minutes(70);
/// The maximum number of changes that are read at once.
pub const BATCH: usize = 200;
/// The interval between two looks for the changes of other processes.
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

/// An entry of an append-only table.
pub trait Entry: Send + Sync + 'static {
    /// The transaction that wrote it, and its number among the entries of that transaction.
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

/// Records changes within the caller's transaction, in one statement, which may be pipelined with others.
pub async fn record(connection: &Connection, changes: &[Change]) -> Result<()> {
    // Before the response, which may be lost together with that of the COMMIT.
    after_commit::add_changes(changes.iter().map(|change| (change.topic.clone(), change.resource)));
    store::insert(connection, changes).await
}

/// Opens the feed of all changes.
pub fn open(database: &Database) -> Feed<RecordedChange> {
    Feed::new(database.clone(), |connection, cursor| Box::pin(read::<store::Row>(connection, cursor)))
}

/// Records the changes of all processes for the cache of this one, and the gaps in which changes may have been missed.
pub(crate) async fn follow(feed: Feed<RecordedChange>, outdated: Arc<Outdated>) {
    loop {
        let Ok((_, mut batches)) = feed.subscribe().await else {
            sleep(RETRY_DELAY).await;
            continue;
        };
        outdated.record_gap();
        loop {
            match batches.recv().await {
                Ok(batch) => {
                    if batch.follows_gap {
                        outdated.record_gap();
                    }
                    batch.entries.iter().for_each(|entry| outdated.record(&entry.change.topic, entry.change.resource));
                }
                Err(RecvError::Lagged(_)) => outdated.record_gap(),
                Err(RecvError::Closed) => break,
            }
        }
    }
}
