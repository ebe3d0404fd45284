//! Cache-aside, for what many read and few change: a layer in this process, then Redis, then the source.
//!
//! A value carries a **version**, from 1, that grows with every change to it. Whoever commits a change
//! [invalidates](Cache::invalidate) the tags of the values that it concerns, with the version of the change: Redis
//! keeps that version per tag as a floor, and publishes it to every process. No layer keeps a value below the floor of
//! its tag. So an older value never replaces a newer one, however late its reader writes it back, and a value that no
//! longer exists stays away. A source that answers below the floor again and again, such as a restored backup, is
//! believed, and its answers are not kept.
//!
//! The **promise**: nobody is given a value that was replaced longer ago than the lifetime of its [`Region`], whatever is
//! lost. A value's age counts from before it was read at its source, and copies don't extend it. If only the notices are
//! lost and Redis is reachable, it is [`RECHECK`]; usually it is the milliseconds that a notice takes. While the source
//! is unavailable, values that nobody outdated are served for up to [`GRACE`] more. A whole response may be reused for
//! another second ([`REUSE`](crate::http::middleware::microcache::REUSE)), by which its value is then older.
//!
//! One reader per process reads a missing value, and one process of all, by a short lease in Redis; the rest wait for
//! it. That there is no value is remembered only in the process, whose memory for the cache is bounded, because strangers
//! choose the keys of what does not exist. Redis is an optimization: while it is unavailable, each process reads the source itself, one reader per value.

mod flight;
mod local;
mod region;
mod shared;

use std::{fmt, future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use rand::Rng as _;
use tokio::time::{Instant, sleep, timeout};

use crate::{
    error::{Error, Reason, Result},
    redis::Redis,
};

use flight::{Failure, Flights};
use local::Local;
use shared::{Shared, SharedEntry, WriteBack};

pub use region::{LoadedValue, Region};

/// How long a process relies on its own copy before it asks Redis whether it was outdated: the oldest that a value can
/// be if only notices are lost.
pub const RECHECK: Duration = Duration::from_secs(10);
/// How long past its lifetime a value is served while its source is unavailable.
pub const GRACE: Duration = Duration::from_secs(600);
/// The longest that a read of the source may take.
const LOAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the other processes leave a value to the one that reads it.
const LEASE: Duration = Duration::from_secs(1);
/// The interval at which they look whether it is there.
const POLL: Duration = Duration::from_millis(10);
/// How often a value is read again because it was outdated meanwhile.
const MAX_RELOADS: usize = 3;

/// The cache of a process. Cheap to clone.
#[derive(Clone)]
pub struct Cache(Arc<Inner>);

struct Inner {
    local: Local,
    shared: Option<Shared>,
    flights: Flights,
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

/// A value as it was read, or that there is none.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    version: i64,
    value: Option<Bytes>,
    /// Before it was read at its source.
    read_at: Instant,
    ttl: Duration,
}

impl Entry {
    fn age(&self) -> Duration {
        self.read_at.elapsed()
    }

    fn is_fresh(&self) -> bool {
        self.age() < self.ttl
    }

    /// Whether it may be served while its source is unavailable.
    fn is_within_grace(&self) -> bool {
        self.age() < self.ttl + GRACE
    }
}

/// What is cached under which name, for how long, and what invalidates it.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    name: Arc<str>,
    tag: Arc<str>,
    ttl: Duration,
}

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Local,
    Shared,
    Source,
    /// From a layer, past its lifetime, because the source was unavailable.
    Stale,
    /// From the read that another reader began.
    Coalesced,
}

impl Cache {
    /// Makes a cache that keeps at most `max_bytes` in this process, and listens for what other processes of the same
    /// `scope` invalidate.
    pub fn new(redis: &Redis, max_bytes: usize, scope: &str) -> Self {
        let shared = match redis {
            Redis::Server(link) => Some(Shared::new(link.clone(), scope)),
            Redis::Local(_) => None,
        };
        let inner = Arc::new(Inner { local: Local::new(max_bytes), shared, flights: Flights::default() });
        if let Some(shared) = &inner.shared {
            tokio::spawn(shared::listen(shared.clone(), Arc::downgrade(&inner)));
        }
        Self(inner)
    }

    /// Returns a region: the values of one type, with one lifetime.
    pub fn region<V>(&self, name: &'static str, ttl: Duration) -> Region<V> {
        Region::new(self.clone(), name, ttl)
    }

    /// Invalidates the values with these tags that are older than `version`. Called after the commit of a change,
    /// and before it is reported.
    ///
    /// # Errors
    /// `UNAVAILABLE` if Redis could not be told: other processes may then serve what they have for its lifetime.
    pub async fn invalidate(&self, tags: &[String], version: i64) -> Result<()> {
        for tag in tags {
            self.0.local.raise(tag, version);
        }
        match &self.0.shared {
            Some(shared) => Ok(shared.raise(tags, version).await?),
            None => Ok(()),
        }
    }

    /// Returns a number that is another one after any value was outdated, here or by a notice. What was made of values
    /// since it was read is what would be made of them now, for as long as it stays.
    pub fn generation(&self) -> u64 {
        self.0.local.generation()
    }

    /// Returns the entry of a key, from the nearest layer that has one.
    pub(crate) async fn entry<F>(
        &self,
        key: &Key,
        load: impl Fn() -> F + Send + Sync + 'static,
    ) -> Result<(Arc<Entry>, Origin)>
    where
        F: Future<Output = Result<(i64, Option<Bytes>)>> + Send + 'static,
    {
        if let Some(entry) = self.0.local.fresh(key) {
            return Ok((entry, Origin::Local));
        }
        let inner = self.0.clone();
        let owned = key.clone();
        let load = move || async move { inner.find(&owned, load).await };
        let recheck = || self.0.local.fresh(key).map(|entry| (entry, Origin::Local));
        self.0.flights.join(&key.name, recheck, load).await
    }
}

impl Inner {
    /// Finds a value that this process does not have. Runs once at a time per key.
    async fn find<F>(&self, key: &Key, load: impl Fn() -> F) -> Result<(Arc<Entry>, Origin), Failure>
    where
        F: Future<Output = Result<(i64, Option<Bytes>)>> + Send + 'static,
    {
        let (mut fallback, mut write_back) = (self.local.fallback(key), None);
        if let Some(shared) = &self.shared {
            match self.ask(shared, key).await {
                SharedLookup::Fresh(entry) => {
                    self.local.put(key, &entry);
                    return Ok((entry, Origin::Shared));
                }
                SharedLookup::Miss { fallback: shared_fallback, write_back: allowed } => {
                    fallback = shared_fallback.or(fallback);
                    write_back = allowed;
                }
            }
        }
        let loaded = self.load(key, load).await.map(Arc::new);
        if let Some(write_back) = write_back {
            // Without making the readers wait.
            tokio::spawn(write_back.finish(key.clone(), loaded.as_ref().ok().cloned()));
        }
        match loaded {
            Ok(entry) => {
                self.local.put(key, &entry);
                Ok((entry, Origin::Source))
            }
            Err(error) => {
                let fallback =
                    fallback.filter(|entry| error.is_unavailable() && entry.version >= self.local.floor(&key.tag));
                fallback.map(|entry| (entry, Origin::Stale)).ok_or_else(|| Failure::from(&error))
            }
        }
    }

    /// Asks Redis, and waits while another process reads the value.
    async fn ask(&self, shared: &Shared, key: &Key) -> SharedLookup {
        let since = Instant::now();
        loop {
            match shared.get(key).await {
                Ok(SharedEntry { entry, floor, write_back }) => {
                    if floor > 0 {
                        self.local.raise(&key.tag, floor);
                    }
                    let entry = entry.map(Arc::new).filter(|entry| entry.version >= self.local.floor(&key.tag));
                    match entry {
                        Some(entry) if entry.is_fresh() => return SharedLookup::Fresh(entry),
                        fallback if write_back.has_lease() || since.elapsed() >= LEASE => {
                            return SharedLookup::Miss { fallback, write_back: Some(write_back) };
                        }
                        _ => sleep(POLL).await,
                    }
                }
                Err(_) => return SharedLookup::Miss { fallback: None, write_back: None },
            }
        }
    }

    /// Reads the source, again if a change outdated what was read.
    async fn load<F>(&self, key: &Key, load: impl Fn() -> F) -> Result<Entry>
    where
        F: Future<Output = Result<(i64, Option<Bytes>)>>,
    {
        let mut reloads = 0;
        loop {
            let read_at = Instant::now();
            let loaded = timeout(LOAD_TIMEOUT, load()).await;
            let (version, value) = loaded.map_err(|_| Error::from(Reason::DeadlineExceeded))??;
            if version >= self.local.floor(&key.tag) || reloads == MAX_RELOADS {
                return Ok(Entry { version, value, read_at, ttl: with_jitter(key.ttl) });
            }
            reloads += 1;
        }
    }
}

/// What was found in Redis.
enum SharedLookup {
    Fresh(Arc<Entry>),
    Miss {
        /// Past its lifetime.
        fallback: Option<Arc<Entry>>,
        /// Where to write the value, unless Redis is unavailable.
        write_back: Option<WriteBack>,
    },
}

/// Shortens a lifetime by up to a tenth, so that values that were read together don't expire together.
fn with_jitter(ttl: Duration) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "jitter, which nothing depends on")]
    let share = rand::rng().random_range(0.9..1.0);
    ttl.mul_f64(share)
}
