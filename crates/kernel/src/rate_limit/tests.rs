//! Rate limit tests with a real Redis and its clock, and without Redis.

mod cluster;

use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use mainstay_dev_servers::{Options, Postgres, Redis as RedisServer, RedisOptions};
use secrecy::SecretString;
use uuid::Uuid;

use crate::{
    caller::Caller,
    config::Quota,
    error::{Error, Reason},
    id::ServiceKeyId,
    rate_limit::*,
};

/// The window is so long that the duration of the test does not matter.
const DAY: Duration = Duration::from_secs(86_400);
const MINUTE: Duration = Duration::from_secs(60);

fn limits(read: Quota) -> config::Limits {
    let quota = Quota { requests: 1000, window: MINUTE };
    config::Limits { address: quota, read, write: quota, bulk: quota, service_factor: 3, instances: 2 }
}

fn read(requests: u32, window: Duration) -> Quota {
    Quota { requests, window }
}

async fn database(url: &str, pool_wait: Duration) -> Database {
    let config = config::Database {
        url: None,
        pool_size: 8,
        pool_wait,
        statement_timeout: MINUTE,
        trace_context: false,
        data_dir: "/nonexistent".into(),
    };
    Database::new(&SecretString::from(url), "mainstay", &config).unwrap()
}

/// An unreachable Postgres.
async fn nowhere() -> Database {
    database("postgres://127.0.0.1:1/none", Duration::from_millis(300)).await
}

/// The timeout is long, so that a busy machine does not make Redis seem unavailable.
const TIMEOUT: Duration = Duration::from_millis(500);

/// A limiter on a Redis, without Postgres.
async fn shared(redis: &RedisServer, read: Quota) -> Limiter {
    shared_at(redis, read, &Clock::default()).await
}

/// Like [`shared`], in a process with this clock.
async fn shared_at(redis: &RedisServer, read: Quota, clock: &Clock) -> Limiter {
    let config =
        config::Redis { url: Some(redis.url().into()), cluster: false, sentinels: Vec::new(), timeout: TIMEOUT };
    let redis = Redis::new(&config, clock.clone()).await.unwrap();
    Limiter::new(redis, nowhere().await, &limits(read), clock.clone())
}

async fn local(read: Quota, clock: &Clock) -> Limiter {
    let redis = Redis::Local(crate::redis::Local::new(clock.clone()));
    Limiter::new(redis, nowhere().await, &limits(read), clock.clone())
}

fn caller() -> Caller {
    let now = Clock::default().now();
    let (id, account, session) = (crate::id::UserId::generate(now), crate::id::AccountId::generate(now), Uuid::nil());
    let account = Some(account);
    let (role, session) = (crate::contract::policy::Role::Customer, crate::id::SessionId(session));
    Caller::User { id, account, role, session, scopes: [].into(), sign_in: crate::caller::SignIn::at(now) }
}

fn address(text: &str) -> Charge {
    Charge::network(Network::of(text.parse().unwrap()))
}

/// Like [`address`], with the charge of the site.
fn addresses(text: &str) -> Charges {
    Charges::of_address(text.parse().unwrap())
}

/// Returns the number of consecutively admitted requests, and the rejection that followed.
async fn row(limiter: &Limiter, charges: &[Charge]) -> (u32, Decision) {
    let mut count = 0;
    loop {
        let decision = limiter.charge(charges).await;
        if !decision.allowed {
            return (count, decision);
        }
        count += 1;
    }
}

#[tokio::test]
async fn script_and_rust_decide_alike() {
    let redis = RedisServer::start(RedisOptions::default()).await.unwrap();
    for requests in [1, 2, 3, 10, 41] {
        for network in ["192.0.2.", "2001:db8:1::"] {
            let quota = read(requests, DAY);
            let (shared, local) = (shared(&redis, quota).await, local(quota, &Clock::default()).await);
            let (own, from) = (Charge::principal(Work::Read, &caller()), addresses(&format!("{network}{requests}")));
            let charges: Charges = [own].into_iter().chain(from.iter().copied()).collect();
            for _ in 0..requests + 2 {
                let (one, other) = (shared.charge(&charges).await, local.charge(&charges).await);
                assert_eq!((one.allowed, one.remaining, one.policy), (other.allowed, other.remaining, other.policy));
                assert!(one.reset.abs_diff(other.reset) < Duration::from_secs(2), "{one:?} {other:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_wait_is_long_enough_and_instances_share_the_limit() {
    let redis = RedisServer::start(RedisOptions::default()).await.unwrap();
    // One a second, so that a busy machine decides several within the time of one.
    let quota = read(20, Duration::from_secs(20));
    let (one, other) = (shared(&redis, quota).await, shared(&redis, quota).await);
    let caller = caller();
    let charge = [Charge::principal(Work::Read, &caller)];
    let since = Instant::now();
    let (burst, mut refusal) = row(&one, &charge).await;
    assert!((5..=6).contains(&burst), "{burst}");
    let decision = other.charge(&charge).await;
    assert!(!decision.allowed && decision.retry_after.is_some(), "the other instance has seen them too");
    let mut total = burst;
    while since.elapsed() < Duration::from_secs(4) {
        assert_eq!((refusal.remaining, refusal.retry_after), (0, Some(refusal.reset)));
        tokio::time::sleep(refusal.reset).await;
        assert!(one.charge(&charge).await.allowed, "granted at the time it was told");
        total += 1;
        refusal = other.charge(&charge).await;
        if refusal.allowed {
            total += 1;
            refusal = other.charge(&charge).await;
        }
    }
    // The time is a window and the short overrun of the loop; the bound is burst + rate·t + 1.
    let elapsed_us = i64::try_from(since.elapsed().as_micros()).unwrap();
    assert!(i64::from(total) <= 5 + elapsed_us / Gcra::new(quota).cost_us + 1, "{total} in {elapsed_us} us");
}

#[tokio::test]
async fn many_at_once_on_two_instances_get_the_burst() {
    let redis = RedisServer::start(RedisOptions::default()).await.unwrap();
    let quota = read(80, Duration::from_secs(3600));
    let both = [shared(&redis, quota).await, shared(&redis, quota).await];
    let caller = caller();
    let charge = [Charge::principal(Work::Read, &caller)];
    let calls = (0..200).map(|number| {
        let limiter = both[number % 2].clone();
        tokio::spawn(async move { limiter.charge(&charge).await.allowed })
    });
    let answers = futures_util::future::join_all(calls).await;
    let count = answers.into_iter().filter(|answer| *answer.as_ref().unwrap()).count();
    assert!((18..=20).contains(&count), "{count}: all but what is left of a small lease on either");
}

/// Returns two limiters on one Redis. The clock of the second one is an hour ahead.
async fn skewed(redis: &RedisServer, read: Quota) -> [Limiter; 2] {
    let ahead = Clock::default();
    ahead.advance(chrono::TimeDelta::hours(1));
    [shared(redis, read).await, shared_at(redis, read, &ahead).await]
}

#[tokio::test]
async fn instances_whose_clocks_differ_share_the_limit() {
    let redis = RedisServer::start(RedisOptions::default()).await.unwrap();
    // The rate is so slow that the duration of the test does not matter.
    let quota = read(20, Duration::from_secs(3600));
    let limiters = skewed(&redis, quota).await;
    for order in [[0, 1], [1, 0]] {
        let caller = caller();
        let charge = [Charge::principal(Work::Read, &caller)];
        let (first, _) = row(&limiters[order[0]], &charge).await;
        let (second, refusal) = row(&limiters[order[1]], &charge).await;
        assert!((5..=6).contains(&(first + second)), "{first} and {second} of a burst of 5");
        let wait = refusal.retry_after.unwrap();
        assert!(wait <= Duration::from_micros(Gcra::new(quota).cost_us.unsigned_abs()), "{wait:?}");
    }
}

/// A promoted replica on a host whose clock is an hour behind.
#[tokio::test]
async fn the_clock_of_another_redis_delays_no_caller() {
    let redis = RedisServer::start(RedisOptions::default()).await.unwrap();
    let quota = read(20, Duration::from_secs(3600));
    let caller = caller();
    let charge = [Charge::principal(Work::Read, &caller)];
    let (limiter, other) = (shared(&redis, quota).await, shared(&redis, quota).await);
    assert!((5..=6).contains(&row(&limiter, &charge).await.0));
    let Redis::Server(link) = &limiter.0.redis else { panic!("a Redis was asked for") };
    let keys: Vec<String> = link.cmd(redis::cmd("KEYS").arg("*")).await.unwrap();
    assert_eq!(keys.len(), 1);
    let arrives_us: i64 = link.cmd(redis::cmd("GET").arg(&keys[0])).await.unwrap();
    link.cmd::<()>(redis::cmd("SET").arg(&keys[0]).arg(arrives_us + 3_600_000_000)).await.unwrap();
    assert!((5..=6).contains(&row(&other, &charge).await.0));
}

#[tokio::test]
async fn instances_whose_clocks_differ_share_the_attempts() {
    let redis = RedisServer::start(RedisOptions::default()).await.unwrap();
    let limiters = skewed(&redis, read(10, MINUTE)).await;
    for (order, email) in [([0, 1], "ada@example.org"), ([1, 0], "bob@example.org")] {
        for _ in 0..10 {
            drop(limiters[order[0]].attempt(&[account(email)]).await.unwrap());
        }
        let wait = limiters[order[1]].attempt(&[account(email)]).await.unwrap_err().wait().unwrap();
        assert!(wait <= LOGIN.window + Duration::from_millis(1), "{wait:?}");
    }
}

/// A limiter with a burst of one request per network, and of ten per site.
async fn narrow(redis: Redis) -> Limiter {
    let limits = config::Limits { address: read(4, DAY), ..limits(read(1000, MINUTE)) };
    Limiter::new(redis, nowhere().await, &limits, Clock::default())
}

/// Returns the number of a site's networks that are admitted consecutively. Each sends one request, alternately to the
/// two limiters.
async fn networks_admitted(limiters: &[Limiter; 2], site: u16) -> usize {
    let mut count = 0;
    loop {
        let charges = addresses(&format!("2001:db8:{site:x}:{count:x}::1"));
        let decision = limiters[count % 2].charge(&charges).await;
        if !decision.allowed {
            assert_eq!(decision.policy, PolicyId::Site);
            return count;
        }
        count += 1;
    }
}

#[tokio::test]
async fn the_networks_of_a_site_share_a_limit_in_one_round_trip() {
    let server = RedisServer::start(RedisOptions::default()).await.unwrap();
    let config =
        config::Redis { url: Some(server.url().into()), cluster: false, sentinels: Vec::new(), timeout: TIMEOUT };
    let redis = Redis::new(&config, Clock::default()).await.unwrap();
    let Redis::Server(link) = &redis else { panic!("a Redis was asked for") };
    let link = link.clone();
    let limiters = [narrow(redis.clone()).await, narrow(redis).await];
    assert!((8..=10).contains(&networks_admitted(&limiters, 1).await), "all but what is left of a lease");
    assert!(limiters[0].charge(&addresses("2001:db8:2::1")).await.allowed, "another site");

    // Redis has loaded the script before.
    link.cmd::<()>(redis::cmd("CONFIG").arg("RESETSTAT")).await.unwrap();
    assert!(limiters[0].charge(&addresses("2001:db8:3::1")).await.allowed);
    let stats: String = link.cmd(redis::cmd("INFO").arg("commandstats")).await.unwrap();
    assert!(stats.contains("cmdstat_evalsha:calls=1,"), "{stats}");

    let local = narrow(Redis::Local(crate::redis::Local::new(Clock::default()))).await;
    assert_eq!(networks_admitted(&[local.clone(), local], 1).await, 10);
}

#[tokio::test]
async fn a_refusal_by_one_limit_costs_nothing_of_the_other() {
    let limiter = local(read(8, MINUTE), &Clock::default()).await;
    let (address, caller) = (address("192.0.2.1"), caller());
    let principal = Charge::principal(Work::Read, &caller);
    let (count, refusal) = row(&limiter, &[address, principal]).await;
    assert_eq!((count, refusal.policy), (2, PolicyId::User(Work::Read)));
    assert_eq!(limiter.charge(&[address]).await.remaining, 250 - 2 - 1);
    let service = Caller::Service { id: ServiceKeyId(Uuid::nil()), account: None, scopes: [].into() };
    assert_eq!(row(&limiter, &[Charge::principal(Work::Read, &service)]).await.0, 6, "three times as much");
}

#[tokio::test]
async fn a_killed_redis_is_counted_on_from_where_it_stood() {
    let mut redis = RedisServer::start(RedisOptions::default()).await.unwrap();
    let limiter = shared(&redis, read(40, Duration::from_secs(3600))).await;
    let (regular, stranger) = (caller(), caller());
    let (regular, stranger) = ([Charge::principal(Work::Read, &regular)], [Charge::principal(Work::Read, &stranger)]);
    for _ in 0..4 {
        assert!(limiter.charge(&regular).await.allowed);
    }
    redis.crash();
    // Four of the burst of ten are used; this instance, one of two, gets half of the rest.
    assert_eq!(row(&limiter, &regular).await.0, 3);
    assert_eq!(row(&limiter, &stranger).await.0, 5);
    redis.restart().await.unwrap();
    while limiter.0.redis.state() != crate::breaker::Circuit::Closed {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let newcomer = caller();
    assert_eq!(row(&limiter, &[Charge::principal(Work::Read, &newcomer)]).await.0, 10);
}

#[tokio::test]
async fn a_hung_redis_delays_the_first_few_only() {
    let redis = RedisServer::start(RedisOptions::default()).await.unwrap();
    let limiter = shared(&redis, read(1_000_000, MINUTE)).await;
    let pid = nix::unistd::Pid::from_raw(i32::try_from(redis.pid().unwrap()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
    let (caller, mut waits) = (caller(), 0);
    for _ in 0..2000 {
        let charges = [Charge::principal(Work::Read, &caller)];
        let mut charge = std::pin::pin!(limiter.charge(&charges));
        let decision = match charge.as_mut().now_or_never() {
            Some(decision) => decision,
            None => {
                waits += 1;
                charge.await
            }
        };
        assert!(decision.allowed);
    }
    // Five time-outs; the other calls do not wait.
    assert!((1..=8).contains(&waits), "{waits} calls waited");
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT).unwrap();
}

#[tokio::test]
async fn no_secret_is_a_key() {
    let redis = RedisServer::start(RedisOptions::default()).await.unwrap();
    let limiter = shared(&redis, read(10, MINUTE)).await;
    let caller = caller();
    let _ = limiter.charge(&[address("192.0.2.77"), Charge::principal(Work::Read, &caller)]).await;
    drop(limiter.attempt(&[account("ada@example.org"), from("192.0.2.77")]).await.unwrap());
    let Redis::Server(link) = &limiter.0.redis else { panic!("a Redis was asked for") };
    let keys: Vec<String> = link.cmd(redis::cmd("KEYS").arg("*")).await.unwrap();
    assert_eq!(keys.len(), 4);
    for key in &keys {
        let hash = key.strip_prefix("limit:").unwrap();
        assert!(hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{key}");
        let ttl_ms: i64 = link.cmd(redis::cmd("PTTL").arg(key)).await.unwrap();
        assert!(ttl_ms > 0, "{key} expires");
    }
}

const LOGIN: Quota = Quota { requests: 10, window: Duration::from_secs(900) };

fn account(email: &str) -> AttemptLimit {
    AttemptLimit::new("login", email.as_bytes(), LOGIN)
}

fn from(address: &str) -> AttemptLimit {
    AttemptLimit::of_network("login-network", address.parse().unwrap(), LOGIN)
}

/// Asserts that ten attempts are admitted, and that the next one is rejected and counts for no other limit.
async fn ten_attempts(limiter: &Limiter) {
    for _ in 0..10 {
        drop(limiter.attempt(&[account("ada@example.org")]).await.unwrap());
    }
    for _ in 0..10 {
        let refusal = limiter.attempt(&[account("ada@example.org"), from("192.0.2.1")]).await.unwrap_err();
        assert_eq!(refusal.reason(), Reason::RateLimitExceeded);
        assert_eq!(refusal.limit(), Some(("login", LOGIN)));
        let wait = refusal.wait().unwrap();
        assert!(wait > Duration::from_secs(880) && wait <= LOGIN.window + Duration::from_millis(1), "{wait:?}");
    }
    for _ in 0..10 {
        drop(limiter.attempt(&[account("bob@example.org"), from("192.0.2.1")]).await.unwrap());
    }
    assert!(limiter.attempt(&[from("192.0.2.1")]).await.is_err());
}

/// Asserts that attempts that were taken back do not count, and that the others do, in any overlap.
async fn taken_back(limiter: &Limiter) {
    let limits = [account("eve@example.org"), from("192.0.2.9")];
    for _ in 0..30 {
        let (first, second) = tokio::join!(limiter.attempt(&limits), limiter.attempt(&limits));
        limiter.take_back(second.unwrap()).await;
        limiter.take_back(first.unwrap()).await;
    }
    for _ in 0..10 {
        drop(limiter.attempt(&limits).await.unwrap());
    }
    assert!(limiter.attempt(&limits[..1]).await.is_err() && limiter.attempt(&limits[1..]).await.is_err());
}

#[tokio::test]
async fn attempts_are_counted_in_redis_and_here() {
    let redis = RedisServer::start(RedisOptions::default()).await.unwrap();
    let limiter = shared(&redis, read(10, MINUTE)).await;
    ten_attempts(&limiter).await;
    taken_back(&limiter).await;
    let clock = Clock::default();
    let limiter = local(read(10, MINUTE), &clock).await;
    ten_attempts(&limiter).await;
    taken_back(&limiter).await;
    clock.advance(chrono::TimeDelta::seconds(901));
    ten_attempts(&limiter).await;
}

#[tokio::test]
async fn attempts_fail_closed() {
    let mut redis = RedisServer::start(RedisOptions::default()).await.unwrap();
    let limiter = shared(&redis, read(10, MINUTE)).await;
    redis.crash();
    let since = Instant::now();
    let refusal = limiter.attempt(&[account("ada@example.org")]).await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::Unavailable);
    assert!(since.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn attempts_fall_back_to_postgres() {
    const TABLE: &str = include_str!("../../migrations/2026-11-22-000001_create_kernel/up.sql");
    let postgres = Postgres::start(Options::in_memory()).await.unwrap();
    let mut redis = RedisServer::start(RedisOptions::default()).await.unwrap();
    let database = database(postgres.url(), 10 * TIMEOUT).await;
    let migration = database.autocommit(async |connection| {
        Ok(diesel_async::SimpleAsyncConnection::batch_execute(connection, TABLE).await?)
    });
    migration.await.unwrap();
    let config =
        config::Redis { url: Some(redis.url().into()), cluster: false, sentinels: Vec::new(), timeout: TIMEOUT };
    let shared = Redis::new(&config, Clock::default()).await.unwrap();
    let limits = limits(read(10, MINUTE));
    let limiter = Limiter::new(shared, database.clone(), &limits, Clock::default());
    redis.crash();
    ten_attempts(&limiter).await;
    let calls = (0..40).map(|_| {
        let limiter = limiter.clone();
        tokio::spawn(async move { limiter.attempt(&[account("eve@example.org")]).await.map(drop) })
    });
    let answers = futures_util::future::join_all(calls).await;
    let reasons: Vec<_> =
        answers.iter().map(|answer| answer.as_ref().unwrap().as_ref().err().map(Error::reason)).collect();
    assert_eq!(reasons.iter().filter(|reason| reason.is_none()).count(), 10, "{reasons:?}");
}

#[tokio::test]
async fn an_attempt_leaves_the_window_in_redis_a_window_after_it_was_made() {
    const SLEPT: Duration = Duration::from_millis(100);
    let redis = RedisServer::start(RedisOptions::default()).await.unwrap();
    let limiter = shared(&redis, read(10, MINUTE)).await;
    let once = [AttemptLimit::new("login", b"ada@example.org", Quota { requests: 1, ..LOGIN })];
    drop(limiter.attempt(&once).await.unwrap());
    tokio::time::sleep(SLEPT).await;
    let wait = limiter.attempt(&once).await.unwrap_err().wait().unwrap();
    assert!(wait <= LOGIN.window - SLEPT + Duration::from_millis(1), "{wait:?}");
}
