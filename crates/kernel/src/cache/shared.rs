//! The layer in Redis, and the notices between processes.

use std::{
    sync::{Arc, LazyLock, Weak},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, future::join_all};
use tokio::time::{Instant, sleep, timeout};

use super::{Entry, GRACE, Inner, Key, LEASE};
use crate::redis::{RedisLink, Script, Unavailable};

static GET: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("get.lua")));
static PUT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("put.lua")));
static RAISE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("raise.lua")));
static RELEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("release.lua")));

/// How long Redis remembers a floor: longer than any value that it could hold back.
const FLOOR_TTL: Duration = Duration::from_secs(3600);
/// A larger value is not worth its way to Redis.
const MAX_VALUE_BYTES: usize = 1 << 20;
/// The wait between two attempts to listen.
const RESUBSCRIBE_DELAY: Duration = Duration::from_millis(500);
/// A subscription on which nothing was heard for so long is opened anew, because it may have died silently.
const MAX_SILENCE: Duration = Duration::from_secs(60);

/// The values in Redis. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    link: RedisLink,
    /// Begins every key: who shares a Redis by accident shares no values.
    scope: Arc<str>,
}

/// What Redis has under a key.
pub(super) struct SharedEntry {
    /// The value, perhaps past its lifetime.
    pub(super) entry: Option<Entry>,
    /// The floor of the key's tag.
    pub(super) floor: i64,
    pub(super) write_back: WriteBack,
}

/// How to write a value after it was read at its source.
pub(super) struct WriteBack {
    shared: Shared,
    /// Of the lease to read the source, which one process at a time has, while there is no fresh value.
    token: Option<u64>,
    clock: RedisTime,
}

/// A reading of the clock of Redis. Ages are counted by it, because a command may take effect long after it was sent.
#[derive(Debug, Clone, Copy)]
struct RedisTime {
    ms: i64,
    /// When it arrived, by the clock of this process.
    at: Instant,
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Shared {
    pub(super) fn new(link: RedisLink, scope: &str) -> Self {
        Self { link, scope: scope.into() }
    }

    /// Returns the prefix of the keys of a tag: its floor, and the values and leases under it. In a Redis Cluster, what is
    /// in braces decides which node has a key, so that one script reads a value and the floor of its tag.
    fn key_prefix(&self, tag: &str) -> String {
        format!("cache:{}:{{{tag}}}", self.scope)
    }

    fn floor(&self, tag: &str) -> String {
        format!("{}:floor", self.key_prefix(tag))
    }

    fn lease(&self, key: &Key) -> String {
        format!("{}:lease:{}", self.key_prefix(&key.tag), key.name)
    }

    fn keys(&self, key: &Key) -> [String; 3] {
        [format!("{}:value:{}", self.key_prefix(&key.tag), key.name), self.floor(&key.tag), self.lease(key)]
    }

    fn channel(&self) -> String {
        format!("cache:{}:outdated", self.scope)
    }

    /// Returns what is under a key, and takes the lease if there is nothing fresh.
    pub(super) async fn get(&self, key: &Key) -> Result<SharedEntry, Unavailable> {
        let token = u64::from_be_bytes(crate::secret::random());
        let args = [token.to_string(), millis(LEASE).to_string()];
        let sent_at = Instant::now();
        let (value, now_ms, floor, has_lease): (Option<Vec<u8>>, i64, i64, bool) =
            self.link.script(&GET, &self.keys(key), &args).await?;
        let clock = RedisTime { ms: now_ms, at: Instant::now() };
        let entry = value.and_then(|value| read(&value, now_ms, sent_at));
        let write_back = WriteBack { shared: self.clone(), token: has_lease.then_some(token), clock };
        Ok(SharedEntry { entry, floor, write_back })
    }

    /// Raises the floors of tags, and tells every process.
    pub(super) async fn raise(&self, tags: &[String], version: i64) -> Result<(), Unavailable> {
        let raised = tags.iter().map(|tag| self.raise_one(tag, version).boxed());
        join_all(raised).await.into_iter().collect()
    }

    async fn raise_one(&self, tag: &str, version: i64) -> Result<(), Unavailable> {
        let args = [version.to_string(), millis(FLOOR_TTL).to_string(), self.channel(), tag.to_owned()];
        self.link.script(&RAISE, &[self.floor(tag)], &args).await
    }
}

impl WriteBack {
    /// Whether this process is the one to read the source.
    pub(super) fn has_lease(&self) -> bool {
        self.token.is_some()
    }

    /// Stores what was read, unless it is outdated or there is a newer value, and gives the lease back. What does not
    /// exist is not stored: strangers choose the keys of that, and could fill Redis with them.
    pub(super) async fn finish(self, key: Key, entry: Option<Arc<Entry>>) {
        let Self { shared, token, clock } = self;
        let token = token.map(|token| token.to_string()).unwrap_or_default();
        // Redis is an optimization; its breaker reports that it is unavailable.
        let size = entry.as_ref().and_then(|entry| entry.value.as_ref()).map(Bytes::len);
        match entry.filter(|_| size.is_some_and(|size| size <= MAX_VALUE_BYTES)) {
            Some(entry) => {
                let value = write(&entry, clock);
                let (ttl, grace) = (millis(entry.ttl), millis(GRACE));
                let args = [entry.version.to_string(), (ttl + grace).to_string(), token].map(String::into_bytes);
                let [version, lifetime, token] = args;
                shared.link.script::<()>(&PUT, &shared.keys(&key), &[version, lifetime, token, value]).await.ok();
            }
            None => drop(shared.link.script::<()>(&RELEASE, &[shared.lease(&key)], &[token]).await),
        }
    }
}

/// Writes an entry: its version, when it was read by the clock of Redis, and its lifetime, in milliseconds as text; then
/// the value.
fn write(entry: &Entry, clock: RedisTime) -> Vec<u8> {
    let read_at = match entry.read_at.checked_duration_since(clock.at) {
        Some(later) => clock.ms.saturating_add(millis(later)),
        None => clock.ms.saturating_sub(millis(clock.at - entry.read_at)),
    };
    let mut bytes = format!("{} {read_at} {} ", entry.version, millis(entry.ttl)).into_bytes();
    bytes.extend_from_slice(entry.value.as_deref().unwrap_or_default());
    bytes
}

/// Reads an entry; `now_ms` is what Redis' clock said after `sent_at`.
fn read(bytes: &[u8], now_ms: i64, sent_at: Instant) -> Option<Entry> {
    let mut parts = bytes.splitn(4, |byte| *byte == b' ');
    let mut number = || std::str::from_utf8(parts.next()?).ok()?.parse::<i64>().ok();
    let (version, read_at, ttl) = (number()?, number()?, number()?);
    let duration = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    let value = Some(Bytes::copy_from_slice(parts.next()?));
    let read_at = sent_at.checked_sub(duration(now_ms.saturating_sub(read_at)))?;
    Some(Entry { version, value, read_at, ttl: duration(ttl) })
}

/// Listens for what other processes invalidate, until the cache is dropped.
pub(super) async fn listen(shared: Shared, inner: Weak<Inner>) {
    while inner.strong_count() > 0 {
        match shared.link.subscribe(&shared.channel()).await {
            Ok(mut messages) => {
                // What was outdated before is not heard any more.
                if let Some(inner) = inner.upgrade() {
                    inner.local.recheck_all();
                }
                while let Ok(Some(message)) = timeout(MAX_SILENCE, messages.next()).await {
                    let Some(inner) = inner.upgrade() else { return };
                    let payload = message.get_payload_bytes();
                    if let Some((version, tag)) =
                        std::str::from_utf8(payload).ok().and_then(|text| text.split_once(' '))
                        && let Ok(version) = version.parse()
                    {
                        inner.local.raise(tag, version);
                    }
                }
            }
            Err(_) => sleep(RESUBSCRIBE_DELAY).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use mainstay_dev_servers::{Redis as RedisServer, RedisOptions};

    use super::*;
    use crate::{clock::Clock, config, redis::Redis};

    const TTL: Duration = Duration::from_secs(300);

    async fn shared(server: &RedisServer) -> Shared {
        let timeout = Duration::from_millis(500);
        let config = config::Redis { url: Some(server.url().into()), cluster: false, sentinels: Vec::new(), timeout };
        match Redis::new(&config, Clock::default()).await.expect("a Redis") {
            Redis::Server(link) => Shared::new(link, "test"),
            Redis::Local(_) => panic!("a Redis was asked for"),
        }
    }

    fn key() -> Key {
        Key { name: "one".into(), tag: "one".into(), ttl: TTL }
    }

    fn entry(version: i64) -> Option<Arc<Entry>> {
        Some(Arc::new(Entry { version, value: Some(Bytes::new()), read_at: Instant::now(), ttl: TTL }))
    }

    /// The version that is there, the floor, and whether the caller is to read the source.
    async fn look_up(shared: &Shared) -> (Option<i64>, i64, bool) {
        let lookup = shared.get(&key()).await.expect("an answer");
        (lookup.entry.map(|entry| entry.version), lookup.floor, lookup.write_back.has_lease())
    }

    #[tokio::test]
    async fn what_is_outdated_is_neither_given_nor_written() {
        let server = RedisServer::start(RedisOptions::default()).await.expect("a Redis");
        let shared = shared(&server).await;
        let reader = shared.get(&key()).await.expect("an answer").write_back;
        reader.finish(key(), entry(1)).await;
        assert_eq!(look_up(&shared).await, (Some(1), 0, false));
        shared.raise(&["one".to_owned()], 3).await.expect("raised");
        shared.raise(&["one".to_owned()], 2).await.expect("raised");
        let reader = shared.get(&key()).await.expect("an answer");
        let state = (reader.entry.map(|entry| entry.version), reader.floor, reader.write_back.has_lease());
        assert_eq!(state, (None, 3, true), "whoever asks reads the source, and the floor has not sunk");
        let value = shared.keys(&key())[0].clone();
        reader.write_back.finish(key(), entry(2)).await;
        let version = async || -> String {
            shared.link.cmd(redis::cmd("GETRANGE").arg(&value).arg(0).arg(0)).await.expect("an answer")
        };
        assert_eq!(version().await, "1", "what is there is held back by the floor, as is what was read");
        shared.get(&key()).await.expect("an answer").write_back.finish(key(), entry(3)).await;
        assert_eq!((version().await.as_str(), look_up(&shared).await), ("3", (Some(3), 3, false)));
    }

    /// Its reader was so slow that another one took over.
    #[tokio::test]
    async fn an_older_value_replaces_no_newer_one() {
        let server = RedisServer::start(RedisOptions::default()).await.expect("a Redis");
        let shared = shared(&server).await;
        let slow = shared.get(&key()).await.expect("an answer").write_back;
        let fast = shared.get(&key()).await.expect("an answer").write_back;
        assert!(slow.has_lease() && !fast.has_lease());
        fast.finish(key(), entry(2)).await;
        slow.finish(key(), entry(1)).await;
        assert_eq!(look_up(&shared).await, (Some(2), 0, false));
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_is_as_old_in_redis_as_it_was() {
        let ttl = Duration::from_secs(300);
        for value in [Bytes::new(), Bytes::from_static(b" 1 2 3\xff")].map(Some) {
            let clock = RedisTime { ms: 1_790_000_000_000, at: Instant::now() };
            tokio::time::advance(Duration::from_secs(2)).await;
            let entry = Entry { version: 7, value: value.clone(), read_at: Instant::now(), ttl };
            let bytes = write(&entry, clock);
            tokio::time::advance(Duration::from_secs(100)).await;
            let again = read(&bytes, clock.ms + 102_000, Instant::now()).expect("an entry");
            let age = again.age();
            assert_eq!((again.version, again.value, again.ttl, age), (7, value, ttl, Duration::from_secs(100)));
        }
        for bad in ["", "7", "7 1 x ", "x 1 1 ", "7 1 1"] {
            assert!(read(bad.as_bytes(), 1, Instant::now()).is_none(), "{bad:?}");
        }
    }
}
