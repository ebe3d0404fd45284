//! One reader per process, for all who watch.

use std::{
    any::Any,
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::{
    sync::broadcast,
    time::{Instant, sleep, timeout},
};

use super::{BATCH, Cursor, Entry, PERIOD, Snapshot};
use crate::{
    database::{Connection, Database},
    error::{Error, Result},
};

/// Batches that a slow watcher may be behind: at least ten seconds.
const MAX_BEHIND: usize = 256;
/// The shortest time between two looks, unless there is more than a batch: commits that follow each other closely are read
/// together.
const SHORTEST_PERIOD: Duration = Duration::from_millis(50);
/// The longest that a look may take; a connection that is silent for longer is replaced.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long a reader that can't read waits.
const REST: Duration = Duration::from_secs(1);

/// What was read, and the snapshot that it was read in.
#[derive(Debug)]
pub struct Read<E> {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// What follows the cursor, in order, at most [`BATCH`].
    pub entries: Vec<E>,
}

/// Reads what follows a cursor; without one, the snapshot alone.
pub type ReadFn<E> = for<'c> fn(&'c mut Connection, Option<&'c Cursor>) -> BoxFuture<'c, Result<Read<E>>>;

/// What follows in an append-only table, for all watchers of this process. Cheap to clone.
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
    /// How far the reader is; `None` while there is none.
    reader: Mutex<Option<Cursor>>,
    /// Held to start the reader.
    starting: tokio::sync::Mutex<()>,
}

/// What was read at once.
pub(super) struct Batch<E> {
    /// The position before it.
    pub(super) start: Cursor,
    pub(super) snapshot: Snapshot,
    pub(super) entries: Vec<E>,
    /// What belongs to the entries, by a name, for as long as anybody uses it.
    loaded: tokio::sync::Mutex<HashMap<&'static str, Weak<dyn Any + Send + Sync>>>,
}

impl<E: Entry> Batch<E> {
    pub(super) fn new(start: Cursor, read: Read<E>) -> Self {
        let Read { snapshot, entries } = read;
        Self { start, snapshot, entries, loaded: tokio::sync::Mutex::default() }
    }

    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= BATCH
    }

    /// The position after it.
    pub(super) fn end(&self) -> Cursor {
        match self.entries.last().filter(|_| self.is_full()) {
            Some(last) => self.start.at(&self.snapshot, last.position()),
            None => self.start.end(&self.snapshot),
        }
    }

    /// Returns what belongs to the entries: the first who asks loads it for all.
    pub(super) async fn load<T: Any + Send + Sync>(
        &self,
        name: &'static str,
        load: impl AsyncFnOnce() -> Result<T>,
    ) -> Result<Arc<T>> {
        let mut all = self.loaded.lock().await;
        let known = all.get(name).and_then(Weak::upgrade).and_then(|known| known.downcast().ok());
        if let Some(known) = known {
            return Ok(known);
        }
        let loaded = Arc::new(load().await?);
        let shared: Arc<dyn Any + Send + Sync> = loaded.clone();
        all.insert(name, Arc::downgrade(&shared));
        Ok(loaded)
    }
}

impl<E: Entry> Feed<E> {
    /// Makes a feed, which reads nothing while nobody watches.
    pub fn new(database: Database, read: ReadFn<E>) -> Self {
        let (sender, _) = broadcast::channel(MAX_BEHIND);
        let (reader, starting) = Default::default();
        Self(Arc::new(Inner { database, read, sender, reader, starting }))
    }

    /// Reads what follows a position, for one watcher alone.
    pub(super) async fn read_after(&self, cursor: &Cursor) -> Result<Read<E>> {
        let (database, read) = (&self.0.database, self.0.read);
        database.autocommit(async |connection| read(connection, Some(cursor)).await).await
    }

    /// Returns how far the reader is, and what it reads from there on.
    pub(super) async fn subscribe(&self) -> Result<(Cursor, broadcast::Receiver<Arc<Batch<E>>>)> {
        let _starting = self.0.starting.lock().await;
        {
            let reader = self.0.lock();
            if let Some(cursor) = &*reader {
                return Ok((cursor.clone(), self.0.sender.subscribe()));
            }
        }
        let mut connection = self.0.database.dedicated().await.map_err(Error::unavailable)?;
        let first = timeout(TIMEOUT, (self.0.read)(&mut connection, None)).await;
        let first = first.map_err(|_| Error::unavailable(anyhow::anyhow!("no snapshot in time")))??;
        let cursor = Cursor::whole(first.snapshot);
        let mut reader = self.0.lock();
        *reader = Some(cursor.clone());
        let receiver = self.0.sender.subscribe();
        drop(reader);
        tokio::spawn(self.0.clone().keep(connection));
        Ok((cursor, receiver))
    }

    /// How far the reader is, if the receiver has taken all that it has read.
    pub(super) fn position(&self, receiver: &broadcast::Receiver<Arc<Batch<E>>>) -> Option<Cursor> {
        let reader = self.0.lock();
        reader.clone().filter(|_| receiver.is_empty())
    }
}

impl<E: Entry> Inner<E> {
    fn lock(&self) -> MutexGuard<'_, Option<Cursor>> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads until nobody watches any more.
    async fn keep(self: Arc<Self>, connection: Connection) {
        let mut connection = Some(connection);
        loop {
            let began = Instant::now();
            let Some(cursor) = self.next_cursor() else { return };
            let read = timeout(TIMEOUT, self.look(&mut connection, &cursor)).await;
            match read.unwrap_or_else(|_| Err(Error::unavailable(anyhow::anyhow!("no answer in time")))) {
                Ok(batch) => {
                    let is_full = batch.is_full();
                    self.publish(batch);
                    if is_full {
                        // Who reads at all keeps up: many changes at once are read a little at a time.
                        let is_behind = self.sender.len() > MAX_BEHIND / 2;
                        sleep(if is_behind { SHORTEST_PERIOD } else { Duration::ZERO }).await;
                        continue;
                    }
                }
                Err(error) => {
                    connection = None;
                    tracing::warn!(error = error.detail(), "changes can't be read");
                    sleep(REST).await;
                }
            }
            let own_commit = async {
                self.database.changes_noted().notified().await;
                tokio::time::sleep_until(began + SHORTEST_PERIOD).await;
            };
            timeout(PERIOD, own_commit).await.ok();
        }
    }

    /// How far was read; `None`, and the end of the reader, if nobody watches.
    fn next_cursor(&self) -> Option<Cursor> {
        let mut reader = self.lock();
        if self.sender.receiver_count() == 0 {
            *reader = None;
        }
        reader.clone()
    }

    async fn look(&self, connection: &mut Option<Connection>, cursor: &Cursor) -> Result<Batch<E>> {
        // A connection of its own, so that a busy pool does not make the news late. It is taken out, so that one whose
        // answer is not awaited is not used again.
        let mut own = match connection.take() {
            Some(connection) => connection,
            None => self.database.dedicated().await.map_err(Error::unavailable)?,
        };
        let read = (self.read)(&mut own, Some(cursor)).await?;
        *connection = Some(own);
        Ok(Batch::new(cursor.clone(), read))
    }

    fn publish(&self, batch: Batch<E>) {
        let mut reader = self.lock();
        *reader = Some(batch.end());
        if !batch.entries.is_empty() {
            metrics::counter!("mainstay_changes_read_total").increment(batch.entries.len() as u64);
            // Fails if nobody watches any more.
            self.sender.send(Arc::new(batch)).ok();
        }
    }
}
