//! Compares ways to share connections to Redis between many callers: one multiplexed connection, several of them, and
//! a pool whose connections are checked out for each command. Every call runs a script of the rate limiter's shape.
//!
//! `cargo run --release -p mainstay-kernel --example redis_connections -- redis://127.0.0.1:6379`

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bb8_redis::{RedisConnectionManager, bb8::Pool};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::{TimeVal, TimeValLike as _},
};
use redis::{Script, aio::MultiplexedConnection};

/// The duration of each measurement.
const RUN: Duration = Duration::from_secs(4);
const SCRIPT: &str = "local at = tonumber(redis.call('GET', KEYS[1]) or ARGV[1])
redis.call('SET', KEYS[1], at + 1, 'PX', 60000)
return {1, at}";

/// A connection strategy.
#[derive(Clone)]
enum Source {
    Multiplexed(Arc<[MultiplexedConnection]>),
    Pool(Pool<RedisConnectionManager>),
}

impl Source {
    async fn call(&self, script: &Script, number: usize) {
        let key = format!("bench:{}", number % 1000);
        let mut invocation = script.key(key);
        let invocation = invocation.arg(1);
        let result: redis::RedisResult<Vec<i64>> = match self {
            Self::Multiplexed(connections) => {
                invocation.invoke_async(&mut connections[number % connections.len()].clone()).await
            }
            Self::Pool(pool) => invocation.invoke_async(&mut *pool.get().await.expect("a connection")).await,
        };
        result.expect("an answer");
    }
}

/// The processor time of a number of calls, in this process and in Redis, and their latencies in ascending order.
struct Measurement {
    client: Duration,
    server: Duration,
    durations: Vec<Duration>,
}

/// The processor time of this process so far.
fn client_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("the usage");
    let micros = |time: TimeVal| u64::try_from(time.num_microseconds()).expect("it is positive");
    Duration::from_micros(micros(usage.user_time()) + micros(usage.system_time()))
}

/// The processor time of Redis so far.
async fn server_time(client: &redis::Client) -> Duration {
    let mut connection = client.get_multiplexed_async_connection().await.expect("a connection");
    let info: String = redis::cmd("INFO").arg("cpu").query_async(&mut connection).await.expect("an answer");
    let used = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
    let seconds = used("used_cpu_sys:").expect("sys") + used("used_cpu_user:").expect("user");
    Duration::from_secs_f64(seconds)
}

async fn measure(client: &redis::Client, source: Source, callers: usize) -> Measurement {
    let before = (client_time(), server_time(client).await);
    let (script, counter, start) = (Arc::new(Script::new(SCRIPT)), Arc::new(AtomicUsize::new(0)), Instant::now());
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (source, script, counter) = (source.clone(), script.clone(), counter.clone());
            tokio::spawn(async move {
                let mut durations = Vec::new();
                while start.elapsed() < RUN {
                    let since = Instant::now();
                    source.call(&script, counter.fetch_add(1, Ordering::Relaxed)).await;
                    durations.push(since.elapsed());
                }
                durations
            })
        })
        .collect();
    let mut durations = Vec::new();
    for task in tasks {
        durations.extend(task.await.expect("no panic"));
    }
    durations.sort_unstable();
    Measurement { client: client_time() - before.0, server: server_time(client).await - before.1, durations }
}

#[tokio::main]
async fn main() {
    let url = std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
    let client = redis::Client::open(url.as_str()).expect("a URL");
    for callers in [1, 16, 256] {
        let mut sources = Vec::new();
        for count in [1, 2, 4] {
            let mut connections = Vec::new();
            for _ in 0..count {
                connections.push(client.get_multiplexed_async_connection().await.expect("a connection"));
            }
            sources.push((format!("{count} multiplexed"), Source::Multiplexed(connections.into())));
        }
        for size in [4, 16, 64] {
            let manager = RedisConnectionManager::new(url.as_str()).expect("a URL");
            let pool = Pool::builder().max_size(size).min_idle(size).test_on_check_out(false).build(manager);
            sources.push((format!("pool of {size}"), Source::Pool(pool.await.expect("a pool"))));
        }
        for (name, source) in sources {
            let Measurement { client: here, server: there, durations } = measure(&client, source, callers).await;
            let calls = durations.len();
            let each = |time: Duration| time.as_secs_f64() * 1e6 / calls as f64;
            println!(
                "{callers:>3} callers, {name:<14} {:>7.0}/s, {:>5.1} us here, {:>5.1} us in Redis, p50 {:>8.1?}, p99 {:>8.1?}, longest {:>8.1?}",
                calls as f64 / RUN.as_secs_f64(),
                each(here),
                each(there),
                durations[calls / 2],
                durations[calls * 99 / 100],
                durations[calls - 1],
            );
        }
    }
}
