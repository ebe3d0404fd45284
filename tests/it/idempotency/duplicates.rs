//! Many concurrent duplicates: two instances, both protocols, one key.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use mainstay_dev_servers::{Redis, RedisOptions};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::Effects;
use crate::{
    cases::draft,
    support::{Actor, PROTOCOLS, Process, Protocol, Response, TestApp, TestDatabase, database::connect, people::Cast},
};

const DUPLICATES: usize = 64;

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_duplicates_have_one_effect() {
    let redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    assert_one_effect(&redis, || {}).await;
}

/// Correctness never depends on Redis, even if it hangs or loses its data during the requests.
#[tokio::test(flavor = "multi_thread")]
async fn duplicates_have_one_effect_when_redis_hangs() {
    let redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let pid = Pid::from_raw(redis.pid().and_then(|pid| pid.try_into().ok()).expect("it runs"));
    assert_one_effect(&redis, || kill(pid, Signal::SIGSTOP).expect("it stops")).await;
    kill(pid, Signal::SIGCONT).expect("it continues");
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_have_one_effect_when_redis_loses_its_data() {
    let redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let address = redis.url().trim_start_matches("redis://").trim_end_matches('/').to_owned();
    assert_one_effect(&redis, || {
        let mut stream = std::net::TcpStream::connect(&address).expect("connected");
        stream.write_all(b"FLUSHALL\r\n").expect("written");
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).expect("an answer");
        assert_eq!(&answer, b"+OK\r\n");
    })
    .await;
}

/// Creates the ticket. Retries if the deadline passes, as it may on a busy machine, and then also while the earlier
/// request is in progress. Also returns whether the deadline passed.
async fn create_in_time(who: &Actor, protocol: Protocol) -> (Response, bool) {
    let since = Instant::now();
    let mut was_late = false;
    loop {
        let answer = who.keyed(protocol, "TicketService.CreateTicket", draft(), "one").await;
        was_late |= answer.reason == "DEADLINE_EXCEEDED";
        if !was_late || !["DEADLINE_EXCEEDED", "IDEMPOTENCY_IN_PROGRESS"].contains(&answer.reason.as_str()) {
            return (answer, was_late);
        }
        assert!(since.elapsed() < Duration::from_secs(60), "never in time: {answer:#?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn assert_one_effect(redis: &Redis, disturb: impl FnOnce()) {
    let database = Arc::new(TestDatabase::new().await);
    let url = redis.url();
    let own = [("REDIS_URL", url.as_str())];
    let instances = [Process::with(&database, &own).await, Process::with(&database, &own).await];
    let customer = Cast::new(&instances[0].endpoint, &database).await.customer;
    let token = customer.token().await.expect("a token");
    let calls = (0..DUPLICATES).map(|number| {
        let who = Actor::bearer(&instances[number % 2].endpoint, token.clone());
        tokio::spawn(async move { create_in_time(&who, PROTOCOLS[number / 2 % 2]).await })
    });
    let calls: Vec<_> = calls.collect();
    disturb();
    let answers: Vec<_> = join_all(calls).await.into_iter().map(|answer| answer.expect("no panic")).collect();

    let all_in_time = answers.iter().all(|(_, was_late)| !was_late);
    let (succeeded, failures): (Vec<_>, Vec<_>) =
        answers.into_iter().map(|(answer, _)| answer).partition(|answer| answer.reason.is_empty());
    for answer in &failures {
        assert_eq!((answer.reason.as_str(), answer.status), ("IDEMPOTENCY_IN_PROGRESS", 409), "{answer:#?}");
        assert!(answer.header("retry-after").is_some(), "{answer:#?}");
    }
    let ids: BTreeSet<_> = succeeded.iter().map(|answer| answer.id()).collect();
    assert_eq!(ids.len(), 1, "every answer is the stored one: {ids:?}");
    let fresh = succeeded.iter().filter(|answer| !answer.is_replayed()).count();
    // The caller whose request did the work may have received only the stored response, after its deadline.
    assert!(fresh == 1 || (fresh == 0 && !all_in_time), "{fresh} of {} responses are not replays", succeeded.len());
    assert_eq!(Effects::in_database(&database).await, Effects::of(1));

    let (late, _) = create_in_time(&customer.at(&instances[1].endpoint), PROTOCOLS[0]).await;
    assert!(late.is_replayed() && ids.contains(&late.id()), "{late:#?}");
}

/// Starts a server with one connection, on which the statements of a request under a key are not prepared yet. The
/// first time, each takes one more round trip, in which another request could overtake it.
async fn new_server(database: &Arc<TestDatabase>) -> TestApp {
    TestApp::builder().on(database).set("DATABASE_POOL_SIZE", "1").start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_keys_at_once_on_new_connections_have_one_effect() {
    let database = Arc::new(TestDatabase::new().await);
    let servers = [new_server(&database).await, new_server(&database).await];
    let customer = servers[0].cast().await.customer;
    let create = async |server: &TestApp, protocol: Protocol| {
        customer.at(&server.endpoint).keyed(protocol, "TicketService.CreateTicket", draft(), "one").await
    };
    let holder = connect(&database.url).await;
    holder.batch_execute("BEGIN; LOCK TABLE tickets IN SHARE MODE").await.expect("locked");
    let (first, second) = tokio::join!(create(&servers[0], Protocol::Rest), async {
        database.locks_waited_for(1).await;
        let second = create(&servers[1], Protocol::Grpc).await;
        holder.batch_execute("COMMIT").await.expect("released");
        second
    });
    second.failure("IDEMPOTENCY_IN_PROGRESS");
    let first = first.success();
    let again = create(&servers[1], Protocol::Grpc).await.success();
    assert!(!first.is_replayed() && again.is_replayed() && again.id() == first.id(), "{again:#?}");
    assert_eq!(Effects::in_database(&database).await, Effects::of(1));
}

/// The primary key decides, not the lock. If another request stored the key meanwhile, this one has no effect, although
/// its COMMIT was sent with the failing statement, and it gets the stored response.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_another_stored_meanwhile_undoes_the_effect() {
    let database = Arc::new(TestDatabase::new().await);
    let (prepared, new) = (new_server(&database).await, new_server(&database).await);
    let customer = prepared.cast().await.customer;
    let first = customer.keyed(Protocol::Rest, "TicketService.CreateTicket", draft(), "one").await.success();
    database.sql("CREATE TABLE other_keys AS SELECT * FROM idempotency_keys").await;
    let customers = [&prepared, &new].map(|server| customer.at(&server.endpoint));
    for customer in &customers {
        database.sql("DELETE FROM idempotency_keys").await;
        let other = connect(&database.url).await;
        other.batch_execute("BEGIN; LOCK TABLE tickets IN SHARE MODE").await.expect("locked");
        let second = customer.keyed(Protocol::Grpc, "TicketService.CreateTicket", draft(), "one");
        let (second, ()) = tokio::join!(second, async {
            database.locks_waited_for(1).await;
            let store = "INSERT INTO idempotency_keys SELECT * FROM other_keys; COMMIT";
            other.batch_execute(store).await.expect("stored");
        });
        let second = second.success();
        assert!(second.is_replayed() && second.id() == first.id(), "{second:#?}");
        assert_eq!(Effects::in_database(&database).await, Effects::of(1));
    }
    // Other connections serve the next ones.
    for (customer, key) in customers.iter().zip(["two", "three"]) {
        customer.keyed(Protocol::Rest, "TicketService.CreateTicket", draft(), key).await.success();
    }
    assert_eq!(Effects::in_database(&database).await, Effects::of(3));
}
