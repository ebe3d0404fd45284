//! One reader per process, for all watchers.

use std::{
    any::Any,
    collections::HashMap,
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::{
    sync::{OnceCell, Semaphore, broadcast},
    time::{Instant, sleep, timeout},
};

use super::{BATCH, Cursor, Entry, PERIOD, Snapshot};
use crate::{
    database::{Connection, Database},
    error::{Error, Result},
};

/// The number of batches by which a slow watcher may be behind: at least ten seconds.
const MAX_BEHIND: usize = 256;
/// The shortest time between two looks, unless there is more than a batch: commits in quick succession are read
/// together.
const SHORTEST_PERIOD: Duration = Duration::from_millis(50);
const TIMEOUT: Duration = Duration::from_secs(2);
pub(super) const RETRY_DELAY: Duration = Duration::from_secs(1);
/// The number of watchers that read missed entries at once. Each reads one batch after the other; the other connections of
/// the pool remain available to requests.
const CATCHING_UP: usize = 2;

/// The entries of a read, and its snapshot.
#[derive(Debug)]
pub struct EntryBatch<E> {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// The entries after the cursor, in order, at most [`BATCH`].
    pub entries: Vec<E>,
}

/// Reads the entries after a cursor; without one, the snapshot alone.
pub type ReadFn<E> = for<'c> fn(&'c mut Connection, Option<&'c Cursor>) -> BoxFuture<'c, Result<EntryBatch<E>>>;

/// The new entries of an append-only table, for all watchers of this process. Cheap to clone.
pub struct Feed<E: Entry>(Arc<Inner<E>>);

impl<E: Entry> Clone for Feed<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E: Entry> fmt::Debug for Feed<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Feed of {} watchers", self.0.sender.receiver_count())
    }
}

struct Inner<E> {
    database: Database,
    read: ReadFn<E>,
    sender: broadcast::Sender<Arc<Batch<E>>>,
    /// The position of the reader; `None` while there is none.
    reader: Mutex<Option<Cursor>>,
    /// Held to start the reader.
    starting: tokio::sync::Mutex<()>,
    catching_up: Semaphore,
}

type Shared = dyn Any + Send + Sync;

pub(super) struct Batch<E> {
    pub(super) start: Cursor,
    pub(super) snapshot: Snapshot,
    pub(super) entries: Vec<E>,
    pub(super) follows_gap: bool,
    /// Values of some of the entries, by a name and the number of the first one, while they are awaited or used.
    loaded: Mutex<HashMap<(&'static str, usize), Weak<Shared>>>,
}

impl<E: Entry> Batch<E> {
    pub(super) fn new(start: Cursor, read: EntryBatch<E>) -> Self {
        let EntryBatch { snapshot, entries } = read;
        Self { start, snapshot, entries, follows_gap: false, loaded: Mutex::default() }
    }

    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= BATCH
    }

    pub(super) fn end(&self) -> Cursor {
        match self.entries.last().filter(|_| self.is_full()) {
            Some(last) => self.start.at(&self.snapshot, last.position()),
            None => self.start.end(&self.snapshot),
        }
    }

    pub(super) async fn load<T: Any + Send + Sync>(
        &self,
        name: &'static str,
        first: usize,
        load: impl AsyncFnOnce() -> Result<T>,
    ) -> Result<Arc<T>> {
        // Each waiting caller holds the cell, so that the value is loaded once.
        let cell = self.cell::<Arc<T>>(name, first);
        cell.get_or_try_init(|| async { load().await.map(Arc::new) }).await.cloned()
    }

    fn cell<T: Any + Send + Sync>(&self, name: &'static str, first: usize) -> Arc<OnceCell<T>> {
        let mut all = self.loaded.lock();
        let cell = all.get(&(name, first)).and_then(Weak::upgrade).and_then(|shared| shared.downcast().ok());
        cell.unwrap_or_else(|| {
            let cell = Arc::new(OnceCell::new());
            let shared: Arc<Shared> = cell.clone();
            all.insert((name, first), Arc::downgrade(&shared));
            cell
        })
    }
}

impl<E: Entry> Feed<E> {
    /// Makes a feed, which reads only while it has subscribers.
    pub fn new(database: Database, read: ReadFn<E>) -> Self {
        let (sender, _) = broadcast::channel(MAX_BEHIND);
        let (reader, starting) = Default::default();
        let catching_up = Semaphore::new(CATCHING_UP);
        Self(Arc::new(Inner { database, read, sender, reader, starting, catching_up }))
    }

    pub(super) async fn read_after(&self, cursor: &Cursor) -> Result<EntryBatch<E>> {
        let (database, read) = (&self.0.database, self.0.read);
        // The semaphore is never closed.
        let _turn = self.0.catching_up.acquire().await.ok();
        database.autocommit(async |connection| read(connection, Some(cursor)).await).await
    }

    pub(super) async fn subscribe(&self) -> Result<(Cursor, broadcast::Receiver<Arc<Batch<E>>>)> {
        let subscribed = timeout(TIMEOUT, self.subscribe_or_start()).await;
        subscribed.unwrap_or_else(|_| Err(Error::unavailable(anyhow::anyhow!("no snapshot in time"))))
    }

    async fn subscribe_or_start(&self) -> Result<(Cursor, broadcast::Receiver<Arc<Batch<E>>>)> {
        let _starting = self.0.starting.lock().await;
        {
            let reader = self.0.reader.lock();
            if let Some(cursor) = &*reader {
                return Ok((cursor.clone(), self.0.sender.subscribe()));
            }
        }
        let mut connection = self.0.database.dedicated().await.map_err(Error::unavailable)?;
        let first = (self.0.read)(&mut connection, None).await?;
        let cursor = Cursor::whole(first.snapshot);
        let mut reader = self.0.reader.lock();
        *reader = Some(cursor.clone());
        let receiver = self.0.sender.subscribe();
        drop(reader);
        tokio::spawn(self.0.clone().run(connection));
        Ok((cursor, receiver))
    }

    /// Returns the position of the reader, if the receiver has taken all batches.
    pub(super) fn position_if_drained(&self, receiver: &broadcast::Receiver<Arc<Batch<E>>>) -> Option<Cursor> {
        let reader = self.0.reader.lock();
        reader.clone().filter(|_| receiver.is_empty())
    }
}

impl<E: Entry> Inner<E> {
    /// Reads until the last subscriber leaves.
    async fn run(self: Arc<Self>, connection: Connection) {
        let (mut connection, mut follows_gap) = (Some(connection), false);
        loop {
            let began = Instant::now();
            let Some(cursor) = self.next_cursor() else { return };
            let read = timeout(TIMEOUT, self.look(&mut connection, &cursor)).await;
            match read.unwrap_or_else(|_| Err(Error::unavailable(anyhow::anyhow!("no answer in time")))) {
                Ok(batch) => {
                    let is_full = batch.is_full();
                    self.publish(Batch { follows_gap, ..batch });
                    follows_gap = false;
                    if is_full {
                        // Many changes at once are read in small steps, so that active watchers keep up.
                        let is_behind = self.sender.len() > MAX_BEHIND / 2;
                        sleep(if is_behind { SHORTEST_PERIOD } else { Duration::ZERO }).await;
                        continue;
                    }
                }
                Err(error) => {
                    connection = None;
                    if !follows_gap {
                        tracing::warn!(error = error.detail(), "changes can't be read");
                    }
                    follows_gap = true;
                    sleep(RETRY_DELAY).await;
                }
            }
            let own_commit = async {
                self.database.changes_added().notified().await;
                tokio::time::sleep_until(began + SHORTEST_PERIOD).await;
            };
            timeout(PERIOD, own_commit).await.ok();
        }
    }

    /// Returns the position of the reader; `None`, which ends the reader, without subscribers.
    fn next_cursor(&self) -> Option<Cursor> {
        let mut reader = self.reader.lock();
        if self.sender.receiver_count() == 0 {
            *reader = None;
        }
        reader.clone()
    }

    async fn look(&self, connection: &mut Option<Connection>, cursor: &Cursor) -> Result<Batch<E>> {
        // A dedicated connection, so that a busy pool does not delay changes. It is taken out, so that a connection with a
        // pending response is not used again.
        let mut own = match connection.take() {
            Some(connection) => connection,
            None => self.database.dedicated().await.map_err(Error::unavailable)?,
        };
        let read = (self.read)(&mut own, Some(cursor)).await?;
        *connection = Some(own);
        Ok(Batch::new(cursor.clone(), read))
    }

    fn publish(&self, batch: Batch<E>) {
        let mut reader = self.reader.lock();
        *reader = Some(batch.end());
        if !batch.entries.is_empty() || batch.follows_gap {
            metrics::counter!("mainstay_changes_read_total").increment(batch.entries.len() as u64);
            // Fails without subscribers.
            self.sender.send(Arc::new(batch)).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;
    use crate::{changes::RecordedChange, error::Reason};

    #[tokio::test]
    async fn a_batch_is_loaded_once_for_all_waiters() {
        let snapshot = Snapshot::parse("100:100:", chrono::DateTime::UNIX_EPOCH).expect("a snapshot");
        let read = EntryBatch::<RecordedChange> { snapshot: snapshot.clone(), entries: Vec::new() };
        let batch = Batch::new(Cursor::whole(snapshot), read);
        let loads = AtomicUsize::new(0);
        let wait = |first| {
            let (batch, loads) = (&batch, &loads);
            async move {
                let load = async || {
                    tokio::task::yield_now().await;
                    Ok(loads.fetch_add(1, Ordering::Relaxed))
                };
                // Used, and given up before the next one looks.
                drop(batch.load("tickets", first, load).await.expect("a number"));
            }
        };
        join_all((0..100).map(|_| wait(0))).await;
        assert_eq!(loads.load(Ordering::Relaxed), 1);
        join_all([wait(0), wait(16), wait(16)]).await;
        assert_eq!(loads.load(Ordering::Relaxed), 3, "nothing is kept, and other entries are others");
        let failed = batch.load::<u8>("tickets", 0, async || Err(Reason::Unavailable.into())).await;
        assert!(failed.is_err());
        assert_eq!(*batch.load("tickets", 0, async || Ok(7_u8)).await.expect("a number"), 7, "a failure is not kept");
    }
}
