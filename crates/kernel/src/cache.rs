//! Cache-aside in the memory of the process, for values that are read often and changed rarely.
//!
//! A [`Region`] names the topic of the [changes](crate::changes) that replace its values. A committed change outdates the
//! values of its resource, and the values that may contain any resource of its topic:
//!
//! - on the instance that commits it, before the commit is reported;
//! - on other instances, when they read the change from the feed, usually within 300 ms.
//!
//! A read of the source that began before a change is not served after it. After the feed has been interrupted, changes may
//! have been missed, so that every value is read again.
//!
//! **Staleness bound**: no value is served that was replaced longer ago than the lifetime of its region, even if the feed
//! is lost. The age of a value counts from before it was read at the source. While the source is unavailable, a value that
//! is not known to be outdated is served for up to [`GRACE`] past its lifetime. A whole response may be reused for another
//! second (`http::middleware::microcache`).
//!
//! Concurrent reads of a missing value share one read of the source (single flight). The absence of a value is cached, too;
//! the memory of the cache is bounded, because anonymous callers choose the keys.

mod region;

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use moka::future::Cache as Entries;
use rand::Rng as _;
use tokio::{
    sync::OnceCell,
    time::{Instant, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    changes::{self, Feed, RecordedChange},
    database::{
        Database,
        outdated::{Outdated, Tag},
    },
    error::{Error, Reason, ReasonRef, Result},
};

pub use region::Region;

/// How long past its lifetime a value is served while its source is unavailable.
pub const GRACE: Duration = mainstay_policy::STALE_IF_ERROR;
/// How long a value stays in memory: longer than any lifetime and [`GRACE`].
const RETENTION: Duration = Duration::from_secs(3600);
const LOAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a caller waits for the source while there is a value that may be served without it.
const STALE_AFTER: Duration = Duration::from_millis(500);
/// How often the source is read again because of a change meanwhile.
const MAX_RELOADS: usize = 3;
/// The memory of an entry besides its key and its value, in bytes.
const OVERHEAD: usize = 256;

/// The cache of a process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    entries: Entries<Arc<str>, Slot>,
    outdated: Arc<Outdated>,
    feed: Feed<RecordedChange>,
    /// Ends the reader of the feed, which starts with the first value that follows a topic.
    reader: OnceCell<DropGuard>,
}

#[derive(Debug)]
struct Entry {
    value: Option<Bytes>,
    /// Before it was read at the source.
    read_at: Instant,
    ttl: Duration,
    /// The generation of the cache before it was read.
    generation: u64,
}

/// The last value of a key, and the failure of the last attempt to replace it.
#[derive(Debug, Clone)]
struct Slot {
    entry: Option<Arc<Entry>>,
    failure: Option<Failure>,
}

/// A failed read, for all callers that waited for it.
#[derive(Debug, Clone)]
struct Failure {
    reason: ReasonRef,
    message: String,
    detail: String,
}

#[derive(Debug, Clone)]
struct Key {
    name: Arc<str>,
    ttl: Duration,
    tag: Option<Tag>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Process,
    Source,
    /// From memory, past its lifetime, because the source was unavailable.
    Stale,
    /// From a read that another caller began.
    Coalesced,
}

impl Cache {
    /// Makes a cache of at most `max_bytes`, which follows the commits of this process and the feed of all changes.
    pub fn new(database: &Database, feed: Feed<RecordedChange>, max_bytes: usize) -> Self {
        let weight = |name: &Arc<str>, slot: &Slot| {
            let value = slot.entry.as_ref().and_then(|entry| entry.value.as_ref()).map_or(0, Bytes::len);
            u32::try_from(name.len() + value + OVERHEAD).unwrap_or(u32::MAX)
        };
        let entries = Entries::builder().weigher(weight).max_capacity(max_bytes as u64).time_to_live(RETENTION).build();
        Self(Arc::new(Inner { entries, outdated: database.outdated().clone(), feed, reader: OnceCell::new() }))
    }

    /// Returns a region: the values of one type, with one lifetime.
    pub fn region<V>(&self, name: &'static str, ttl: Duration) -> Region<V> {
        Region::new(self.clone(), name, ttl)
    }

    /// Returns a number that differs after any cached value was outdated. What was made of cached values remains correct
    /// while the number stays the same.
    pub fn generation(&self) -> u64 {
        self.0.outdated.generation()
    }

    /// Returns the value of a key from memory, or reads it at the source. The read is a task without the deadline of the
    /// caller, because other callers may wait for it, too.
    async fn entry<F>(&self, key: Key, load: impl Fn() -> F + Send + Sync + 'static) -> Result<(Arc<Entry>, Origin)>
    where
        F: Future<Output = Result<Option<Bytes>>> + Send + 'static,
    {
        if key.tag.is_some() {
            self.follow().await;
        }
        let began = self.0.outdated.generation();
        let slot = self.0.entries.get(&key.name).await;
        if let Some(slot) = slot.as_ref().filter(|slot| self.0.is_current(slot, &key))
            && let Some(entry) = &slot.entry
        {
            return Ok((entry.clone(), Origin::Process));
        }
        let (inner, last) = (self.0.clone(), slot.and_then(|slot| slot.entry));
        let stale = last.clone().filter(|entry| inner.is_within_grace(entry, &key));
        let key_of_read = key.clone();
        let mut read = tokio::spawn(async move { inner.find_after(began, &key_of_read, last, load).await });
        // A source that hangs is unavailable, too. The read goes on for later callers.
        if let Some(entry) = stale {
            let in_time = timeout(STALE_AFTER, &mut read).await;
            match in_time {
                Ok(read) => return read.map_err(Error::internal)?,
                Err(_) if self.0.is_within_grace(&entry, &key) => return Ok((entry, Origin::Stale)),
                Err(_) => {}
            }
        }
        read.await.map_err(Error::internal)?
    }

    async fn follow(&self) {
        let start = async || {
            let token = CancellationToken::new();
            let follow = changes::follow(self.0.feed.clone(), self.0.outdated.clone());
            tokio::spawn(token.clone().run_until_cancelled_owned(follow));
            token.drop_guard()
        };
        self.0.reader.get_or_init(start).await;
    }
}

impl Inner {
    fn is_current(&self, slot: &Slot, key: &Key) -> bool {
        let is_current = |entry: &Arc<Entry>| {
            let is_outdated = key.tag.is_some_and(|tag| self.outdated.may_be_outdated(tag, entry.generation));
            entry.read_at.elapsed() < entry.ttl && !is_outdated
        };
        slot.failure.is_none() && slot.entry.as_ref().is_some_and(is_current)
    }

    fn is_within_grace(&self, entry: &Entry, key: &Key) -> bool {
        let is_outdated = key.tag.is_some_and(|tag| self.outdated.is_outdated(tag, entry.generation));
        entry.read_at.elapsed() < entry.ttl + GRACE && !is_outdated
    }

    /// Returns a value that no change before the generation `began` has outdated.
    async fn find_after<F>(
        &self,
        began: u64,
        key: &Key,
        last: Option<Arc<Entry>>,
        load: impl Fn() -> F,
    ) -> Result<(Arc<Entry>, Origin)>
    where
        F: Future<Output = Result<Option<Bytes>>>,
    {
        loop {
            let (entry, origin) = self.find(key, last.clone(), &load).await?;
            let is_outdated = || key.tag.is_some_and(|tag| self.outdated.is_outdated(tag, entry.generation));
            // A read that another caller had begun before. The next one begins later.
            if origin != Origin::Coalesced || entry.generation >= began || !is_outdated() {
                return Ok((entry, origin));
            }
        }
    }

    /// Reads a value, or waits for the read that is in progress. `last` is the value that is no longer current.
    async fn find<F>(&self, key: &Key, last: Option<Arc<Entry>>, load: impl Fn() -> F) -> Result<(Arc<Entry>, Origin)>
    where
        F: Future<Output = Result<Option<Bytes>>>,
    {
        let read = async {
            match self.load(key, load).await {
                Ok(entry) => Slot { entry: Some(Arc::new(entry)), failure: None },
                Err(error) => Slot { entry: last, failure: Some(Failure::from(&error)) },
            }
        };
        // `try_get_with` would drop the last value with the first failure.
        let entry = self.entries.entry(key.name.clone());
        let found = entry.or_insert_with_if(read, |slot| !self.is_current(slot, key)).await;
        let origin = if found.is_fresh() { Origin::Source } else { Origin::Coalesced };
        match found.into_value() {
            Slot { entry: Some(entry), failure: None } => Ok((entry, origin)),
            Slot { entry, failure } => {
                let error = failure.map_or_else(|| Error::from(Reason::InternalError), Error::from);
                let stale = entry.filter(|entry| error.is_unavailable() && self.is_within_grace(entry, key));
                stale.map(|entry| (entry, Origin::Stale)).ok_or(error)
            }
        }
    }

    /// Reads the source, again if the value changed meanwhile.
    async fn load<F>(&self, key: &Key, load: impl Fn() -> F) -> Result<Entry>
    where
        F: Future<Output = Result<Option<Bytes>>>,
    {
        let mut reloads = 0;
        loop {
            let (generation, read_at) = (self.outdated.generation(), Instant::now());
            let loaded = timeout(LOAD_TIMEOUT, load()).await;
            let value = loaded.map_err(|_| Error::from(Reason::DeadlineExceeded))??;
            let is_outdated = key.tag.is_some_and(|tag| self.outdated.is_outdated(tag, generation));
            if !is_outdated || reloads == MAX_RELOADS {
                return Ok(Entry { value, read_at, ttl: with_jitter(key.ttl), generation });
            }
            reloads += 1;
        }
    }
}

/// Shortens a lifetime by up to a tenth, so that values that were read together do not expire together.
fn with_jitter(ttl: Duration) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "jitter, which nothing depends on")]
    let share = rand::rng().random_range(0.9..1.0);
    ttl.mul_f64(share)
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Self { reason: error.reason(), message: error.message().to_owned(), detail: error.detail() }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::with_message(failure.reason, failure.message).caused_by(anyhow::anyhow!("{}", failure.detail))
    }
}
