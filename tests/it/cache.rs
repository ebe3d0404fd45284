//! The cache: no reader gets a value that was replaced longer ago than promised, even if messages between processes are
//! lost, and a thousand concurrent readers of one value read its source once.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::future::join_all;
use mainstay_dev_servers::{Redis as RedisServer, RedisOptions};
use mainstay_kernel::{
    cache::{Cache, LoadedValue, RECHECK, Region},
    clock::Clock,
    config,
    error::{Error, Result},
    redis::Redis,
};
use rand::Rng as _;
use tokio::time::{Instant, sleep};

use crate::support::unique;

/// Simulates one process: a cache on a separate connection.
async fn process(url: &str, scope: &str) -> Cache {
    let config = config::Redis {
        url: Some(url.to_owned().into()),
        cluster: false,
        sentinels: Vec::new(),
        timeout: Duration::from_millis(200),
    };
    let redis = Redis::new(&config, Clock::default()).await.expect("a Redis URL");
    Cache::new(&redis, 1 << 20, scope)
}

async fn processes(url: &str) -> [Cache; 2] {
    let scope = unique();
    [process(url, &scope).await, process(url, &scope).await]
}

fn rng() -> impl rand::Rng {
    #[expect(clippy::disallowed_methods, reason = "a random test")]
    rand::rng()
}

/// A value that changes, and records when each version was replaced.
#[derive(Debug, Clone, Default)]
struct Source {
    replaced_at: Arc<Mutex<Vec<Instant>>>,
    reads: Arc<AtomicUsize>,
    is_unavailable: Arc<AtomicBool>,
    max_delay: Duration,
}

impl Source {
    fn slow(max_delay: Duration) -> Self {
        Self { max_delay, ..Self::default() }
    }

    fn version(&self) -> i64 {
        i64::try_from(self.replaced_at.lock().expect("it never panics").len()).expect("a few") + 1
    }

    /// Changes the value, and returns its version.
    fn change(&self) -> i64 {
        self.replaced_at.lock().expect("it never panics").push(Instant::now());
        self.version()
    }

    fn load(
        &self,
    ) -> impl Fn() -> futures_util::future::BoxFuture<'static, Result<LoadedValue<i64>>> + Send + Sync + 'static {
        let source = self.clone();
        move || {
            let source = source.clone();
            Box::pin(async move {
                source.reads.fetch_add(1, Relaxed);
                if source.is_unavailable.load(Relaxed) {
                    return Err(Error::unavailable(anyhow::anyhow!("the source is unavailable")));
                }
                let version = source.version();
                // The value may be replaced after it was read and before it is returned.
                let wait = source.max_delay.mul_f64(rng().random_range(0.0..1.0));
                sleep(wait).await;
                Ok(LoadedValue { value: Some(version), version })
            })
        }
    }

    async fn read(&self, region: &Region<i64>) -> Result<i64> {
        Ok(region.get("one", "one", self.load()).await?.expect("a value"))
    }

    /// Returns how long before `at` a version was replaced.
    fn staleness(&self, version: i64, at: Instant) -> Duration {
        let replaced_at = self.replaced_at.lock().expect("it never panics");
        let index = usize::try_from(version).expect("a version") - 1;
        replaced_at.get(index).map_or(Duration::ZERO, |replaced_at| at.saturating_duration_since(*replaced_at))
    }
}

const TTL: Duration = Duration::from_millis(600);

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_readers_of_an_expired_value_read_it_once() {
    let redis = RedisServer::start(RedisOptions::default()).await.expect("a Redis");
    let regions = processes(&redis.url()).await.map(|cache| cache.region::<i64>("test.values", TTL));
    let source = Source::slow(Duration::from_millis(50));
    source.read(&regions[0]).await.expect("a value");
    for round in 2..5 {
        sleep(TTL).await;
        let readers = (0..1000).map(|number| source.read(&regions[number % 2]));
        let values = join_all(readers).await;
        assert!(values.iter().all(|value| value.as_ref().is_ok_and(|value| *value == 1)));
        assert_eq!(source.reads.load(Relaxed), round);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_seen_everywhere_at_once() {
    let redis = RedisServer::start(RedisOptions::default()).await.expect("a Redis");
    let caches = processes(&redis.url()).await;
    let regions = caches.clone().map(|cache| cache.region::<i64>("test.values", 100 * TTL));
    let source = Source::default();
    for _ in 0..50 {
        for region in &regions {
            source.read(region).await.expect("a value");
        }
        let version = source.change();
        caches[0].invalidate(&[regions[0].tag("one")], version).await.expect("Redis answers");
        assert_eq!(source.read(&regions[0]).await.expect("a value"), version, "who changes it sees it");
        crate::support::eventually("the other process sees it", async || {
            source.read(&regions[1]).await.expect("a value") == version
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reads_what_was_replaced_longer_ago_than_the_promise() {
    let mut redis = RedisServer::start(RedisOptions::default()).await.expect("a Redis");
    let caches = processes(&redis.url()).await;
    let regions = caches.clone().map(|cache| cache.region::<i64>("test.values", TTL));
    let source = Source::slow(Duration::from_millis(150));
    let end = Instant::now() + Duration::from_secs(8);
    let reader = |region: Region<i64>| {
        let source = source.clone();
        tokio::spawn(async move {
            let (mut oldest, mut reads) = (Duration::ZERO, 0);
            while Instant::now() < end {
                let began = Instant::now();
                let version = source.read(&region).await.expect("a value");
                oldest = oldest.max(source.staleness(version, began));
                reads += 1;
                let wait = rng().random_range(0..5);
                sleep(Duration::from_millis(wait)).await;
            }
            (oldest, reads)
        })
    };
    let readers: Vec<_> = (0..16).map(|number| reader(regions[number % 2].clone())).collect();
    let writer = {
        let (source, cache, tag) = (source.clone(), caches[0].clone(), regions[0].tag("one"));
        tokio::spawn(async move {
            while Instant::now() < end {
                let version = source.change();
                // A process may die, or be slow, between its commit and its notification.
                let fate = rng().random_range(0..3);
                if fate > 0 {
                    sleep(Duration::from_millis(fate * 20)).await;
                    cache.invalidate(std::slice::from_ref(&tag), version).await.ok();
                }
                let wait = rng().random_range(0..60);
                sleep(Duration::from_millis(wait)).await;
            }
        })
    };
    // Subscriptions break, and Redis dies and restarts empty.
    let client = redis::Client::open(redis.url()).expect("a URL");
    for round in 0..4 {
        sleep(Duration::from_millis(700)).await;
        if let Ok(mut connection) = client.get_multiplexed_async_connection().await {
            redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("pubsub").exec_async(&mut connection).await.ok();
        }
        if round % 2 == 1 {
            redis.crash();
            sleep(Duration::from_millis(700)).await;
            redis.restart().await.expect("it comes back");
        }
    }
    writer.await.expect("no panic");
    let mut total = 0;
    for reader in readers {
        let (oldest, reads) = reader.await.expect("no panic");
        assert!(oldest <= TTL, "{oldest:?}");
        total += reads;
    }
    let loads = source.reads.load(Relaxed);
    assert!(total > 1000 && loads * 3 < total, "{total} reads, of which {loads} went to the source");
}

#[tokio::test]
async fn a_lost_notice_is_made_up_for_within_the_recheck() {
    let redis = RedisServer::start(RedisOptions::default()).await.expect("a Redis");
    let caches = processes(&redis.url()).await;
    let regions = caches.clone().map(|cache| cache.region::<i64>("test.values", 100 * RECHECK));
    let source = Source::default();
    for region in &regions {
        source.read(region).await.expect("a value");
    }
    let version = source.change();
    // The state that `invalidate` leaves in Redis, without its notification.
    let client = redis::Client::open(redis.url()).expect("a URL");
    let mut connection = client.get_multiplexed_async_connection().await.expect("a connection");
    let keys: Vec<String> = redis::cmd("KEYS").arg("cache:*:value:*").query_async(&mut connection).await.expect("keys");
    let (tagged, _) = keys[0].split_once(":value:").expect("a value");
    let floor = format!("{tagged}:floor");
    redis::cmd("SET").arg(floor).arg(version).exec_async(&mut connection).await.expect("it is set");
    assert_eq!(source.read(&regions[1]).await.expect("a value"), 1, "the notice is lost");
    tokio::time::pause();
    tokio::time::advance(RECHECK).await;
    tokio::time::resume();
    assert_eq!(source.read(&regions[1]).await.expect("a value"), version);
}

#[tokio::test]
async fn a_value_is_served_while_its_source_is_unavailable_unless_it_is_replaced() {
    let redis = RedisServer::start(RedisOptions::default()).await.expect("a Redis");
    let [cache, other] = processes(&redis.url()).await;
    let (region, other_region) = (cache.region::<i64>("test.values", TTL), other.region::<i64>("test.values", TTL));
    let source = Source::default();
    source.read(&region).await.expect("a value");
    sleep(Duration::from_millis(100)).await;
    source.is_unavailable.store(true, Relaxed);
    sleep(TTL).await;
    assert_eq!(source.read(&region).await.expect("kept"), 1);
    assert_eq!(source.read(&other_region).await.expect("kept in Redis"), 1);
    let version = source.change();
    cache.invalidate(&[region.tag("one")], version).await.expect("Redis answers");
    assert_eq!(source.read(&region).await.map_err(|error| error.reason().facts().code), Err("UNAVAILABLE"));
    source.is_unavailable.store(false, Relaxed);
    assert_eq!(source.read(&region).await.expect("a value"), version);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_reaches_all_who_wait_and_is_not_cached() {
    let redis = RedisServer::start(RedisOptions::default()).await.expect("a Redis");
    let [cache, _] = processes(&redis.url()).await;
    let region = cache.region::<i64>("test.values", TTL);
    let source = Source::default();
    source.is_unavailable.store(true, Relaxed);
    let results = join_all((0..100).map(|_| source.read(&region))).await;
    assert!(results.iter().all(Result::is_err));
    assert!(source.reads.load(Relaxed) < 10, "{:?}", source.reads);
    source.is_unavailable.store(false, Relaxed);
    assert_eq!(source.read(&region).await.expect("a value"), 1);
}

/// A load that invalidates the value before it ends: the value it read is older than a committed change.
fn outdated_load(
    cache: &Cache,
    region: &Region<i64>,
    end: fn(i64) -> Result<LoadedValue<i64>>,
) -> impl Fn() -> futures_util::future::BoxFuture<'static, Result<LoadedValue<i64>>> + Send + Sync + 'static {
    let (cache, tag, source) = (cache.clone(), region.tag("one"), Source::default());
    move || {
        let (cache, tag, source) = (cache.clone(), tag.clone(), source.clone());
        Box::pin(async move {
            let read = source.version();
            if read == 1 {
                cache.invalidate(&[tag], source.change()).await?;
            }
            end(read)
        })
    }
}

fn reason<V>(result: Result<V>) -> &'static str {
    result.map_or_else(|error| error.reason().facts().code, |_| "")
}

#[tokio::test]
async fn a_value_that_is_replaced_while_it_is_read_is_read_again() {
    let redis = RedisServer::start(RedisOptions::default()).await.expect("a Redis");
    let [cache, _] = processes(&redis.url()).await;
    let region = cache.region::<i64>("test.values", 100 * TTL);
    let load = outdated_load(&cache, &region, |version| Ok(LoadedValue { value: Some(version), version }));
    assert_eq!(region.get("one", "one", load).await.expect("a value"), Some(2));
}

/// A stale value replaces an unavailable source. It masks no other error, and is never a value that was invalidated
/// meanwhile.
#[tokio::test]
async fn an_old_value_stands_in_only_for_an_unavailable_source_and_only_until_it_is_replaced() {
    let redis = RedisServer::start(RedisOptions::default()).await.expect("a Redis");
    let [cache, _] = processes(&redis.url()).await;
    let region = cache.region::<i64>("test.values", TTL);
    Source::default().read(&region).await.expect("a value");
    sleep(TTL).await;
    let broken = || async { Err(Error::internal(anyhow::anyhow!("it is broken"))) };
    assert_eq!(reason(region.get("one", "one", broken).await), "INTERNAL_ERROR");
    let unavailable =
        outdated_load(&cache, &region, |_| Err(Error::unavailable(anyhow::anyhow!("the source is unavailable"))));
    assert_eq!(reason(region.get("one", "one", unavailable).await), "UNAVAILABLE");
}
