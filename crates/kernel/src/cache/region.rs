//! The values of one type, with one lifetime.

use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use metrics::{Counter, Histogram};
use prost::Message;

use super::{Cache, Key, Origin};
use crate::error::{Error, Result};

/// What was read at the source.
#[derive(Debug, Clone)]
pub struct LoadedValue<V> {
    /// The value; `None`: there is none, which this process remembers too.
    pub value: Option<V>,
    /// The version: at least that of every change that the value contains, and below that of every change that it may
    /// not contain. Read before the value.
    pub version: i64,
}

/// The values of one type, with one lifetime.
pub struct Region<V> {
    cache: Cache,
    name: &'static str,
    ttl: Duration,
    /// Made at the first read, when there is a recorder.
    metrics: Arc<OnceLock<Metrics>>,
    value: PhantomData<fn() -> V>,
}

impl<V> Clone for Region<V> {
    fn clone(&self) -> Self {
        let Self { cache, name, ttl, metrics, .. } = self;
        Self { cache: cache.clone(), name, ttl: *ttl, metrics: metrics.clone(), value: PhantomData }
    }
}

impl<V> fmt::Debug for Region<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region").field("name", &self.name).field("ttl", &self.ttl).finish()
    }
}

struct Metrics {
    local: Counter,
    shared: Counter,
    source: Counter,
    stale: Counter,
    coalesced: Counter,
    age: Histogram,
}

impl Metrics {
    fn new(cache: &'static str) -> Self {
        let from =
            |origin: &'static str| metrics::counter!("mainstay_cache_reads_total", "cache" => cache, "from" => origin);
        Self {
            local: from("process"),
            shared: from("redis"),
            source: from("source"),
            stale: from("stale"),
            coalesced: metrics::counter!("mainstay_cache_stampedes_avoided_total", "cache" => cache),
            age: metrics::histogram!("mainstay_cache_age_seconds", "cache" => cache),
        }
    }

    fn count(&self, origin: Origin, age: Duration) {
        match origin {
            Origin::Local => self.local.increment(1),
            Origin::Shared => self.shared.increment(1),
            Origin::Source => self.source.increment(1),
            Origin::Stale => self.stale.increment(1),
            Origin::Coalesced => self.coalesced.increment(1),
        }
        self.age.record(age);
    }
}

impl<V> Region<V> {
    pub(super) fn new(cache: Cache, name: &'static str, ttl: Duration) -> Self {
        Self { cache, name, ttl, metrics: Arc::default(), value: PhantomData }
    }

    /// Returns the name of a tag of this region, for [`Cache::invalidate`].
    pub fn tag(&self, tag: &str) -> String {
        format!("{}/{tag}", self.name)
    }
}

impl<V: Message + Default> Region<V> {
    /// Returns the value of a key, which is outdated with its tag. `load` reads it at the source; it runs on its own,
    /// without the deadline of the request, because others wait for it too.
    ///
    /// # Errors
    /// Any error of `load`.
    pub async fn get<F>(&self, key: &str, tag: &str, load: impl Fn() -> F + Send + Sync + 'static) -> Result<Option<V>>
    where
        F: Future<Output = Result<LoadedValue<V>>> + Send + 'static,
    {
        let key = Key { name: self.tag(key).into(), tag: self.tag(tag).into(), ttl: self.ttl };
        let load = move || {
            let loaded = load();
            async move {
                let LoadedValue { value, version } = loaded.await?;
                Ok((version, value.map(|value| Bytes::from(value.encode_to_vec()))))
            }
        };
        let (entry, origin) = self.cache.entry(&key, load).await?;
        self.metrics.get_or_init(|| Metrics::new(self.name)).count(origin, entry.age());
        entry.value.clone().map(V::decode).transpose().map_err(Error::internal)
    }
}
