//! Tests with a real Redis that is killed, stopped and restarted.

use std::time::Instant;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::redis::link::*;
use mainstay_dev_servers::{Redis, RedisOptions};

/// Longer than in production, so that a busy machine does not make Redis seem unavailable.
const TIMEOUT: Duration = Duration::from_millis(100);

async fn link(redis: &Redis) -> RedisLink {
    RedisLink::new(&SecretString::from(redis.url()), TIMEOUT).await.unwrap()
}

fn signal(redis: &Redis, signal: Signal) {
    let pid = redis.pid().expect("it runs");
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

async fn ping(link: &RedisLink) -> Result<String, Unavailable> {
    link.cmd(&redis::cmd("PING")).await
}

/// Waits until the link works, which must be within two seconds, and returns how long that took.
async fn back(link: &RedisLink) -> Duration {
    let since = Instant::now();
    while ping(link).await.is_err() {
        assert!(since.elapsed() < Duration::from_secs(2), "no recovery within 2 s");
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
    let since = Instant::now();
    for _ in 0..1000 {
        assert!(matches!(ping(&link).await, Err(Unavailable::Open)));
    }
    assert!(since.elapsed() < Duration::from_millis(100), "1000 calls waited {:?}", since.elapsed());
    // Long enough for a few probes, whose connections a stopped Redis still accepts.
    tokio::time::sleep(Duration::from_secs(3)).await;
    signal(&redis, Signal::SIGCONT);
    back(&link).await;
}

#[tokio::test]
async fn a_killed_redis_opens_the_circuit_at_once_and_is_found_again() {
    let mut redis = Redis::start(RedisOptions::default()).await.unwrap();
    let link = link(&redis).await;
    redis.crash();
    let since = Instant::now();
    assert!(ping(&link).await.is_err());
    assert!(since.elapsed() < 2 * TIMEOUT);
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
