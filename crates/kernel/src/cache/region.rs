//! The values of one type, with one lifetime.

use std::{
    future::Future,
    marker::PhantomData,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use metrics::{Counter, Histogram};
use prost::Message;
use uuid::Uuid;

use super::{Cache, Key, Origin};
use crate::error::{Error, Result};

/// The values of one type, with one lifetime.
pub struct Region<V> {
    cache: Cache,
    name: &'static str,
    ttl: Duration,
    topic: Option<&'static str>,
    /// Made at the first read, when there is a recorder.
    metrics: Arc<OnceLock<Metrics>>,
    value: PhantomData<fn() -> V>,
}

impl<V> Clone for Region<V> {
    fn clone(&self) -> Self {
        let Self { cache, metrics, .. } = self;
        Self { cache: cache.clone(), metrics: metrics.clone(), value: PhantomData, ..*self }
    }
}

debug_fields!(Region<V>: name, ttl);

struct Metrics {
    process: Counter,
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
            process: from("process"),
            source: from("source"),
            stale: from("stale"),
            coalesced: metrics::counter!("mainstay_cache_stampedes_avoided_total", "cache" => cache),
            age: metrics::histogram!("mainstay_cache_age_seconds", "cache" => cache),
        }
    }

    fn count(&self, origin: Origin, age: Duration) {
        match origin {
            Origin::Process => self.process.increment(1),
            Origin::Source => self.source.increment(1),
            Origin::Stale => self.stale.increment(1),
            Origin::Coalesced => self.coalesced.increment(1),
        }
        self.age.record(age);
    }
}

impl<V> Region<V> {
    pub(super) fn new(cache: Cache, name: &'static str, ttl: Duration) -> Self {
        Self { cache, name, ttl, topic: None, metrics: Arc::default(), value: PhantomData }
    }

    /// Outdates the values with the changes of a topic. Without a topic, only their lifetime ends them.
    #[must_use]
    pub fn follow(self, topic: &'static str) -> Self {
        self.cache.0.outdated.add_topic(topic);
        Self { topic: Some(topic), ..self }
    }
}

impl<V: Message + Default> Region<V> {
    /// Returns the value of a key; `None` is its absence. Each change of the region's topic outdates it. `load` reads it at
    /// the source, in a task without the caller's deadline.
    pub async fn get<F>(&self, key: &str, load: impl Fn() -> F + Send + Sync + 'static) -> Result<Option<V>>
    where
        F: Future<Output = Result<Option<V>>> + Send + 'static,
    {
        self.tagged(key, None, load).await
    }

    /// As [`Region::get`], for the value of a resource, which only changes of this resource outdate.
    pub async fn get_resource<F>(&self, id: Uuid, load: impl Fn() -> F + Send + Sync + 'static) -> Result<Option<V>>
    where
        F: Future<Output = Result<Option<V>>> + Send + 'static,
    {
        self.tagged(&id.to_string(), Some(id), load).await
    }

    async fn tagged<F>(
        &self,
        key: &str,
        resource: Option<Uuid>,
        load: impl Fn() -> F + Send + Sync + 'static,
    ) -> Result<Option<V>>
    where
        F: Future<Output = Result<Option<V>>> + Send + 'static,
    {
        let tag = self.topic.map(|topic| self.cache.0.outdated.tag(topic, resource));
        let key = Key { name: format!("{}/{key}", self.name).into(), ttl: self.ttl, tag };
        let load = move || {
            let loaded = load();
            async move { Ok(loaded.await?.map(|value| Bytes::from(value.encode_to_vec()))) }
        };
        let (entry, origin) = self.cache.entry(key, load).await?;
        self.metrics.get_or_init(|| Metrics::new(self.name)).count(origin, entry.read_at.elapsed());
        entry.value.clone().map(V::decode).transpose().map_err(Error::internal)
    }
}
