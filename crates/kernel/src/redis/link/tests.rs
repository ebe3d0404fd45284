//! Tests with a real Redis that is killed, stopped and restarted.

mod cluster;

use std::time::Instant;

use futures_util::FutureExt as _;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::redis::link::*;
use mainstay_dev_servers::{Redis, RedisOptions};

/// Longer than in production, so that a busy machine does not make Redis seem unavailable.
const TIMEOUT: Duration = Duration::from_millis(100);

fn config(sentinels: &[String]) -> config::Redis {
    let sentinels = sentinels.iter().map(|url| SecretString::from(url.clone())).collect();
    config::Redis { url: None, cluster: false, sentinels, timeout: TIMEOUT }
}

async fn link(redis: &Redis) -> RedisLink {
    RedisLink::new(&SecretString::from(redis.url()), &config(&[])).await.unwrap()
}

fn signal(redis: &Redis, signal: Signal) {
    let pid = redis.pid().expect("it runs");
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

async fn ping(link: &RedisLink) -> Result<String, Unavailable> {
    link.cmd(&redis::cmd("PING")).await
}

/// Waits until the link works, and returns how long that took. The bound is for a busy machine; a probe takes a second.
async fn back(link: &RedisLink) -> Duration {
    let since = Instant::now();
    while ping(link).await.is_err() {
        assert!(since.elapsed() < Duration::from_secs(60), "no recovery within a minute");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    since.elapsed()
}

#[tokio::test]
async fn scripts_load_themselves() {
    let mut redis = Redis::start(RedisOptions::default()).await.unwrap();
    let link = link(&redis).await;
    let script = Arc::new(Script::new("return {KEYS[1], ARGV[1]}"));
    // Spawned, because the future must be `Send`.
    let (one, other) = (link.clone(), script.clone());
    let answer = tokio::spawn(async move { one.script::<(String, i64)>(&other, &["k"], &[7]).await });
    assert_eq!(answer.await.unwrap().unwrap(), ("k".to_owned(), 7));
    redis.restart().await.unwrap();
    back(&link).await;
    assert_eq!(link.script::<(String, i64)>(&script, &["k"], &[8]).await.unwrap(), ("k".to_owned(), 8));
}

#[tokio::test]
async fn a_hung_redis_costs_the_first_few_timeouts_and_then_nothing() {
    let redis = Redis::start(RedisOptions::default()).await.unwrap();
    let link = link(&redis).await;
    signal(&redis, Signal::SIGSTOP);
    while link.state() == Circuit::Closed {
        assert!(matches!(ping(&link).await, Err(Unavailable::Timeout)));
    }
    for _ in 0..1000 {
        assert!(matches!(ping(&link).now_or_never(), Some(Err(Unavailable::Open))), "a call waits");
    }
    // Long enough for a few probes, whose connections a stopped Redis still accepts.
    tokio::time::sleep(Duration::from_secs(3)).await;
    signal(&redis, Signal::SIGCONT);
    back(&link).await;
}

#[tokio::test]
async fn a_killed_redis_opens_the_circuit_at_once_and_is_found_again() {
    let mut redis = Redis::start(RedisOptions::default()).await.unwrap();
    // A time-out that only a silent Redis reaches: the broken connection itself reports the loss.
    let config = config::Redis { timeout: Duration::from_secs(10), ..config(&[]) };
    let link = RedisLink::new(&SecretString::from(redis.url()), &config).await.unwrap();
    redis.crash();
    assert!(matches!(ping(&link).await, Err(Unavailable::Failed(_) | Unavailable::Open)));
    assert_ne!(link.state(), Circuit::Closed, "one lost connection opens it");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(matches!(ping(&link).await, Err(Unavailable::Open)));
    redis.restart().await.unwrap();
    back(&link).await;
}

#[tokio::test]
async fn a_start_without_redis_works_and_redis_is_found_later() {
    let mut redis = Redis::start(RedisOptions::default()).await.unwrap();
    redis.crash();
    let link = link(&redis).await;
    assert_ne!(link.state(), Circuit::Closed);
    assert!(matches!(ping(&link).await, Err(Unavailable::Open)));
    redis.restart().await.unwrap();
    back(&link).await;
}

#[tokio::test]
async fn an_error_of_one_command_is_no_outage() {
    let redis = Redis::start(RedisOptions::default()).await.unwrap();
    let link = link(&redis).await;
    assert!(matches!(link.cmd::<()>(&redis::cmd("NONSENSE")).await, Err(Unavailable::Failed(_))));
    assert_eq!(ping(&link).await.unwrap(), "PONG");
    assert!(!format!("{link:?}").contains("redis://"));
}

const NAME: &str = "shop";

async fn link_by(sentinels: &[String]) -> RedisLink {
    RedisLink::new(&SecretString::from(format!("redis://{NAME}")), &config(sentinels)).await.unwrap()
}

/// Waits until something is so, which must be soon.
async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    let since = Instant::now();
    while !is_so().await {
        assert!(since.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_primary_that_sentinel_elects_is_found() {
    let mut primary = Redis::start(RedisOptions::default()).await.unwrap();
    let replica = RedisOptions { primary: Some(primary.port()), ..RedisOptions::default() };
    let replica = Redis::start(replica).await.unwrap();
    let sentinel = Redis::sentinel(NAME, &primary).await.unwrap();
    // One of them accepts connections, and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = (format!("redis://{}", silent.local_addr().unwrap()), silent);
    let link = link_by(&[silent.0, sentinel.url()]).await;
    assert_eq!(link.state(), Circuit::Closed, "a Sentinel that is silent holds up no other");
    link.cmd::<()>(redis::cmd("SET").arg("kept").arg("7")).await.unwrap();
    // Redis replicates after it has answered, and not before the replica has its first copy.
    eventually("the replica has it", async || {
        matches!(link.cmd::<i64>(redis::cmd("WAIT").arg(1).arg(20)).await, Ok(1))
    })
    .await;
    let at_sentinel = self::link(&sentinel).await;
    eventually("Sentinel knows the replica", async || {
        let replicas: Vec<redis::Value> =
            at_sentinel.cmd(redis::cmd("SENTINEL").arg("REPLICAS").arg(NAME)).await.unwrap_or_default();
        !replicas.is_empty()
    })
    .await;
    primary.crash();
    eventually("the replica is the primary", async || {
        link.cmd::<()>(redis::cmd("SET").arg("after").arg("1")).await.is_ok()
    })
    .await;
    assert_eq!(link.cmd::<String>(redis::cmd("GET").arg("kept")).await.unwrap(), "7");
    let role: (String, redis::Value, redis::Value) = link.cmd(&redis::cmd("ROLE")).await.unwrap();
    assert_eq!(role.0, "master");
    replica.stop().await;
}

#[tokio::test]
async fn a_primary_that_became_a_replica_is_given_up_until_it_is_one_again() {
    let primary = Redis::start(RedisOptions::default()).await.unwrap();
    let other = Redis::start(RedisOptions::default()).await.unwrap();
    let (link, operator) = (link(&primary).await, link(&primary).await);
    let follow = |host: &str, port: String| redis::cmd("REPLICAOF").arg(host).arg(port).to_owned();
    operator.cmd::<()>(&follow("127.0.0.1", other.port().to_string())).await.unwrap();
    assert!(matches!(link.cmd::<()>(redis::cmd("SET").arg("k").arg(1)).await, Err(Unavailable::Failed(_))));
    assert_ne!(link.state(), Circuit::Closed, "a client that only reads would continue with outdated values");
    operator.cmd::<()>(&follow("NO", "ONE".to_owned())).await.unwrap();
    back(&link).await;
    link.cmd::<()>(redis::cmd("SET").arg("k").arg(1)).await.unwrap();
}
