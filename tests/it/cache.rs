//! The cache: no value is served that was replaced longer ago than the staleness bound, even if changes or the feed are lost,
//! and a thousand readers of a value cause one read of its source.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::future::{BoxFuture, join_all};
use mainstay_kernel::{
    cache::{Cache, Region},
    changes::{self, Change},
    config,
    database::Database,
    error::{Error, Result},
    id::AccountId,
};
use rand::Rng as _;
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};
use uuid::Uuid;

use crate::support::{TestDatabase, eventually};

/// A process: a cache on connections of its own.
#[derive(Debug, Clone)]
struct Process {
    database: Database,
    cache: Cache,
}

impl Process {
    fn new(database: &TestDatabase) -> Self {
        let config = config::Database {
            url: None,
            pool_size: 2,
            pool_wait: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(5),
            trace_context: false,
            data_dir: "/nonexistent".into(),
        };
        let database = Database::new(&database.url.as_str().into(), "test", &config).expect("a URL");
        let cache = Cache::new(&database, changes::open(&database), 1 << 20);
        Self { database, cache }
    }

    fn region(&self, ttl: Duration) -> Region<i64> {
        self.cache.region("test.values", ttl).follow("test.value")
    }

    /// Waits until the process reads changes, which begins with its first value that follows a topic.
    async fn settle(&self) {
        eventually("the process reads changes", async || self.cache.generation() > 0).await;
    }

    /// Commits a change of the value.
    async fn record_change(&self, version: i64) {
        let (resource, account) = (Uuid::nil(), AccountId(Uuid::nil()));
        let topic = "test.value".into();
        let change = Change { topic, resource, account, principal: None, version, is_deleted: false };
        self.database.autocommit(async |connection| changes::record(connection, &[change]).await).await.expect("noted");
    }
}

async fn processes() -> (TestDatabase, [Process; 2]) {
    let database = TestDatabase::new().await;
    let processes = [Process::new(&database), Process::new(&database)];
    (database, processes)
}

/// Ends the connections of all readers of changes.
async fn interrupt_feeds(database: &TestDatabase) {
    const SQL: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'WITH news AS%'";
    database.sql(SQL).await;
}

fn rng() -> impl rand::Rng {
    #[expect(clippy::disallowed_methods, reason = "a random test")]
    rand::rng()
}

/// A value that changes, with the time at which each version was replaced.
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

    fn load(&self) -> impl Fn() -> BoxFuture<'static, Result<Option<i64>>> + Send + Sync + 'static {
        let source = self.clone();
        move || {
            let source = source.clone();
            Box::pin(async move {
                source.reads.fetch_add(1, Relaxed);
                let version = source.version();
                // The value may be replaced after its read.
                let wait = source.max_delay.mul_f64(rng().random_range(0.5..1.0));
                sleep(wait).await;
                if source.is_unavailable.load(Relaxed) {
                    return Err(Error::unavailable(anyhow::anyhow!("the source is unavailable")));
                }
                Ok(Some(version))
            })
        }
    }

    async fn read(&self, region: &Region<i64>) -> Result<i64> {
        Ok(region.get_resource(Uuid::nil(), self.load()).await?.expect("a value"))
    }

    /// Returns how long before `at` a version was replaced.
    fn staleness(&self, version: i64, at: Instant) -> Duration {
        let replaced_at = self.replaced_at.lock().expect("it never panics");
        let index = usize::try_from(version).expect("a version") - 1;
        replaced_at.get(index).map_or(Duration::ZERO, |replaced_at| at.saturating_duration_since(*replaced_at))
    }
}

const TTL: Duration = Duration::from_millis(600);
const LONG: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_readers_of_an_expired_value_read_it_once_per_process() {
    let (_database, processes) = processes().await;
    // Long enough that a busy machine polls all readers within one lifetime.
    let ttl = Duration::from_secs(3);
    let regions = processes.each_ref().map(|process| process.cache.region::<i64>("test.values", ttl));
    let source = Source::slow(Duration::from_millis(50));
    for round in 1..4 {
        if round > 1 {
            sleep(ttl).await;
        }
        let readers = (0..1000).map(|number| source.read(&regions[number % 2]));
        let values = join_all(readers).await;
        assert!(values.iter().all(|value| value.as_ref().is_ok_and(|value| *value == 1)));
        assert_eq!(source.reads.load(Relaxed), 2 * round);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_seen_at_once_where_it_is_made_and_soon_elsewhere() {
    let (_database, processes) = processes().await;
    let regions = processes.each_ref().map(|process| process.region(LONG));
    let source = Source::default();
    for round in 0..20 {
        for region in &regions {
            source.read(region).await.expect("a value");
        }
        let version = source.change();
        processes[round % 2].record_change(version).await;
        assert_eq!(source.read(&regions[round % 2]).await.expect("a value"), version);
        let elsewhere = &regions[1 - round % 2];
        let since = Instant::now();
        eventually("the other process sees it", async || source.read(elsewhere).await.expect("a value") == version)
            .await;
        assert!(since.elapsed() < Duration::from_secs(30), "after {:?}", since.elapsed());
    }
}

/// A change of any resource outdates the values of the topic, and no value of another resource.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_outdates_the_values_of_its_topic_and_of_its_resource() {
    let (_database, [process, _]) = processes().await;
    let region = process.region(LONG);
    let [lists, resource, other] = [(); 3].map(|()| Source::default());
    let read = async || {
        region.get("list", lists.load()).await.expect("a value");
        resource.read(&region).await.expect("a value");
        region.get_resource(Uuid::max(), other.load()).await.expect("a value");
        [&lists, &resource, &other].map(|source| source.reads.load(Relaxed))
    };
    read().await;
    process.settle().await;
    let before = read().await;
    process.record_change(2).await;
    let after = read().await;
    assert_eq!([after[0] > before[0], after[1] > before[1], after[2] > before[2]], [true, true, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_value_is_older_than_the_staleness_bound() {
    let (database, processes) = processes().await;
    let regions = processes.each_ref().map(|process| process.region(TTL));
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
        let (source, process) = (source.clone(), processes[0].clone());
        tokio::spawn(async move {
            while Instant::now() < end {
                let version = source.change();
                // Some changes are noted late, or never.
                let fate = rng().random_range(0..3);
                if fate > 0 {
                    sleep(Duration::from_millis(fate * 20)).await;
                    process.record_change(version).await;
                }
                let wait = rng().random_range(0..300);
                sleep(Duration::from_millis(wait)).await;
            }
        })
    };
    for _ in 0..5 {
        sleep(Duration::from_millis(1300)).await;
        interrupt_feeds(&database).await;
    }
    writer.await.expect("no panic");
    let mut total = 0;
    for reader in readers {
        let (oldest, reads) = reader.await.expect("no panic");
        assert!(oldest <= TTL, "{oldest:?}");
        total += reads;
    }
    let loads = source.reads.load(Relaxed);
    assert!(total > 500 && loads * 3 < total, "{total} reads, of which {loads} went to the source");
}

/// Changes may have been missed meanwhile, as after a failover to a server that lacks the last ones.
#[tokio::test(flavor = "multi_thread")]
async fn all_values_are_read_again_after_the_feed_was_lost() {
    let (database, [process, _]) = processes().await;
    let region = process.region(LONG);
    let source = Source::default();
    source.read(&region).await.expect("a value");
    process.settle().await;
    source.read(&region).await.expect("a value");
    let version = source.change();
    assert_eq!(source.read(&region).await.expect("a value"), 1, "the change is not noted");
    interrupt_feeds(&database).await;
    eventually("the value is read again", async || source.read(&region).await.expect("a value") == version).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_while_the_feed_is_lost_is_seen_when_it_is_back() {
    let (database, processes) = processes().await;
    let regions = processes.each_ref().map(|process| process.region(LONG));
    let source = Source::default();
    for round in 0..3 {
        source.read(&regions[1]).await.expect("a value");
        interrupt_feeds(&database).await;
        let version = source.change();
        processes[0].record_change(version).await;
        eventually(&format!("round {round}"), async || source.read(&regions[1]).await.expect("a value") == version)
            .await;
    }
}

fn reason<V>(result: Result<V>) -> &'static str {
    result.map_or_else(|error| error.reason().facts().code, |_| "")
}

#[tokio::test]
async fn a_value_is_served_while_its_source_is_unavailable_unless_it_is_replaced() {
    let (_database, [process, _]) = processes().await;
    let region = process.region(TTL);
    let source = Source::default();
    source.read(&region).await.expect("a value");
    source.is_unavailable.store(true, Relaxed);
    sleep(TTL).await;
    for _ in 0..2 {
        assert_eq!(source.read(&region).await.expect("kept"), 1);
    }
    let version = source.change();
    process.record_change(version).await;
    assert_eq!(reason(source.read(&region).await), "UNAVAILABLE");
    source.is_unavailable.store(false, Relaxed);
    assert_eq!(source.read(&region).await.expect("a value"), version);
}

/// The clock of the process moves, and no value is served that is older than its lifetime and the grace period.
#[tokio::test]
async fn the_grace_period_ends() {
    let (_database, [process, _]) = processes().await;
    // Time alone ends these values.
    let region = process.cache.region::<i64>("test.values", LONG);
    let source = Source::default();
    source.read(&region).await.expect("a value");
    source.is_unavailable.store(true, Relaxed);
    tokio::time::pause();
    tokio::time::advance(LONG + Duration::from_secs(500)).await;
    assert_eq!(source.read(&region).await.expect("kept"), 1);
    tokio::time::advance(Duration::from_secs(100)).await;
    assert_eq!(reason(source.read(&region).await), "UNAVAILABLE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_reaches_all_waiting_callers_and_is_not_cached() {
    let (_database, [process, _]) = processes().await;
    let region = process.region(TTL);
    let source = Source::slow(Duration::from_millis(100));
    source.is_unavailable.store(true, Relaxed);
    let results = join_all((0..100).map(|_| source.read(&region))).await;
    assert!(results.iter().all(Result::is_err));
    assert!(source.reads.load(Relaxed) < 10, "{:?}", source.reads);
    source.is_unavailable.store(false, Relaxed);
    assert_eq!(source.read(&region).await.expect("a value"), 1);
}

/// A load during which the value is replaced, `times` times. It returns the value from before the change.
fn outdated_load(
    process: &Process,
    source: &Source,
    times: i64,
    end: fn(i64) -> Result<Option<i64>>,
) -> impl Fn() -> BoxFuture<'static, Result<Option<i64>>> + Send + Sync + 'static {
    let (process, source) = (process.clone(), source.clone());
    move || {
        let (process, source) = (process.clone(), source.clone());
        Box::pin(async move {
            source.reads.fetch_add(1, Relaxed);
            let read = source.version();
            if read <= times {
                process.record_change(source.change()).await;
            }
            end(read)
        })
    }
}

#[tokio::test]
async fn a_value_that_is_replaced_while_it_is_read_is_read_again() {
    let (_database, [process, _]) = processes().await;
    let region = process.region(LONG);
    let load = outdated_load(&process, &Source::default(), 1, |version| Ok(Some(version)));
    assert_eq!(region.get("one", load).await.expect("a value"), Some(2));
}

#[tokio::test]
async fn a_load_that_began_before_a_change_is_never_served_later() {
    let (_database, [process, _]) = processes().await;
    let (region, source) = (process.region(LONG), Source::default());
    let load = || outdated_load(&process, &source, 6, |version| Ok(Some(version)));
    assert_eq!(region.get("one", load()).await.expect("a value"), Some(4), "the callers get the last one");
    assert_eq!(region.get("one", load()).await.expect("a value"), Some(7), "it is not kept");
    // Nor does it stand in for a source that is unavailable.
    process.record_change(source.change()).await;
    let unavailable = outdated_load(&process, &source, 0, |_| Err(Error::unavailable(anyhow::anyhow!("no source"))));
    assert_eq!(reason(region.get("one", unavailable).await), "UNAVAILABLE");
}

/// A read during which all reads of another caller end too early.
#[tokio::test]
async fn a_caller_does_not_join_a_load_that_began_before_a_change() {
    let (_database, [process, _]) = processes().await;
    let (region, source, gate) = (process.region(LONG), Source::default(), Arc::new(Notify::new()));
    let load = || {
        let (process, source, gate) = (process.clone(), source.clone(), gate.clone());
        move || -> BoxFuture<'static, Result<Option<i64>>> {
            let (process, source, gate) = (process.clone(), source.clone(), gate.clone());
            Box::pin(async move {
                let read = source.version();
                if read <= 4 {
                    process.record_change(source.change()).await;
                }
                source.reads.fetch_add(1, Relaxed);
                if read == 4 {
                    gate.notified().await;
                }
                Ok(Some(read))
            })
        }
    };
    let first = tokio::spawn({
        let (region, load) = (region.clone(), load());
        async move { region.get("one", load).await }
    });
    eventually("the last change is recorded", async || source.reads.load(Relaxed) == 4).await;
    let second = region.get("one", load());
    let open = async {
        sleep(Duration::from_millis(100)).await;
        gate.notify_one();
    };
    let (second, ()) = tokio::join!(second, open);
    assert_eq!(first.await.expect("no panic").expect("a value"), Some(4), "it began before the change");
    assert_eq!(second.expect("a value"), Some(5));
}

/// A source that hangs delays no caller for long while there is a value.
#[tokio::test]
async fn an_old_value_stands_in_for_a_source_that_hangs() {
    let (_database, [process, _]) = processes().await;
    let region = process.region(TTL);
    region.get("one", Source::default().load()).await.expect("a value");
    sleep(TTL).await;
    let hanging = std::future::pending::<Result<Option<i64>>>;
    let value = tokio::time::timeout(Duration::from_secs(3), region.get("one", hanging)).await;
    assert_eq!(value.expect("before the load ends").expect("kept"), Some(1));
}

/// An old value stands in for an unavailable source. It hides no other error, and no change.
#[tokio::test]
async fn an_old_value_stands_in_only_for_an_unavailable_source_and_only_until_it_is_replaced() {
    let (_database, [process, _]) = processes().await;
    let region = process.region(TTL);
    let source = Source::default();
    region.get("one", source.load()).await.expect("a value");
    sleep(TTL).await;
    let broken = || async { Err(Error::internal(anyhow::anyhow!("it is broken"))) };
    assert_eq!(reason(region.get("one", broken).await), "INTERNAL_ERROR");
    let unavailable = outdated_load(&process, &source, 1, |_| Err(Error::unavailable(anyhow::anyhow!("no source"))));
    assert_eq!(reason(region.get("one", unavailable).await), "UNAVAILABLE");
}

#[tokio::test]
async fn the_memory_of_the_cache_is_bounded() {
    let (_database, [process, _]) = processes().await;
    let region = process.cache.region::<String>("test.texts", LONG);
    let loads = Arc::new(AtomicUsize::new(0));
    let read_all = async || {
        for number in 0..5000 {
            let loads = loads.clone();
            let load = move || {
                loads.fetch_add(1, Relaxed);
                std::future::ready(Ok(Some("x".repeat(1 << 10))))
            };
            region.get(&number.to_string(), load).await.expect("a value");
        }
        loads.swap(0, Relaxed)
    };
    assert_eq!(read_all().await, 5000);
    let again = read_all().await;
    assert!(again > 3000, "{again} of 5,000 values of more than 1 KiB were read again, beside a cache of 1 MiB");
}
