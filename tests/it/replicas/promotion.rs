//! A standby becomes the primary: no acknowledged write is lost, writes continue, and it is no longer read as a
//! replica.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{ANY_LAG, Pair, get, subject};
use crate::{
    cases::draft,
    support::{
        Actor, PROTOCOLS, Process, Protocol, TestApp, TestDatabase, database::sql, eventually, people::Cast, unique,
    },
};

/// A URL may name all servers of a cluster in any order, as those of managed services do.
#[tokio::test(flavor = "multi_thread")]
async fn of_several_hosts_the_one_that_accepts_writes_is_the_primary() {
    let pair = Pair::start().await;
    let (standby, primary) = (pair.standby.port(), pair.primary.port());
    let both = pair.primary.url().replace(&format!(":{primary}/"), &format!(":{standby},127.0.0.1:{primary}/"));
    let app = TestApp::builder().on(&pair.database).set("DATABASE_URL", both).start().await;
    let Cast { customer, .. } = app.cast().await;
    for protocol in PROTOCOLS {
        let response = customer.call(protocol, "TicketService.CreateTicket", draft()).await.success();
        get(&customer, protocol, &response.id(), &[]).await.success();
    }
}

/// Creates tickets until told to stop, each under a key with which it is retried until it succeeds. Returns the ids.
async fn write(who: &Actor, request: &Value, stop: &AtomicBool, last: &Mutex<Instant>) -> Vec<String> {
    let mut ids = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let key = unique();
        loop {
            let answer = who.keyed(Protocol::Rest, "TicketService.CreateTicket", request.clone(), &key).await;
            if answer.reason.is_empty() {
                ids.push(answer.id());
                *last.lock().await = Instant::now();
                break;
            }
            let transient = ["UNAVAILABLE", "DEADLINE_EXCEEDED", "IDEMPOTENCY_IN_PROGRESS"];
            assert!(transient.contains(&&*answer.reason), "{answer:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_standby_has_every_write_and_takes_the_next_ones() {
    let mut pair = Pair::start().await;
    pair.replicate_synchronously().await;
    let (first, second) = (pair.primary.port().to_string(), pair.standby.port().to_string());
    let both = pair.database.url.replace(&format!(":{first}/"), &format!(":{first},127.0.0.1:{second}/"));
    let settings = [
        ("DATABASE_URL", both.as_str()),
        ("DATABASE_REPLICA_URLS", pair.standby.url()),
        ("DATABASE_POOL_WAIT", "800ms"),
    ];
    let server = Process::with(&pair.database, &settings).await;
    let Cast { customer, agent, .. } = Cast::new(&server.endpoint, &pair.database).await;
    agent.token().await;
    let mut request = draft();
    request["accountId"] = json!(customer.as_user().account);

    let (stop, last) = (AtomicBool::new(false), Mutex::new(Instant::now()));
    let writers = futures_util::future::join_all((0..4).map(|_| write(&agent, &request, &stop, &last)));
    let (primary, standby) = (&mut pair.primary, &pair.standby);
    let take_over = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        primary.crash();
        let promoted = sql(standby.url(), "SELECT pg_promote()").await;
        assert_eq!(promoted[0][0].as_deref(), Some("t"));
        let since = Instant::now();
        eventually("writes resume", async || *last.lock().await > since).await;
        let gap = since.elapsed();
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.store(true, Ordering::Relaxed);
        gap
    };
    let (results, gap) = tokio::join!(writers, take_over);
    assert!(gap < Duration::from_secs(30), "writes resumed after {gap:?}");
    let acknowledged: BTreeSet<_> = results.into_iter().flatten().collect();
    let rows = sql(standby.url(), "SELECT id FROM tickets").await;
    let ids: BTreeSet<_> = rows.into_iter().filter_map(|mut row| row.swap_remove(0)).collect();
    assert_eq!(acknowledged, ids, "every write that was acknowledged, and each once");
    println!("{} writes, the next one {gap:?} after the promotion", ids.len());

    // The former replica is the primary; it is not read as a replica, and every response is current.
    let ticket = ids.last().expect("a ticket");
    let change = json!({ "ticketId": ticket, "ticket": { "subject": "After" } });
    for protocol in PROTOCOLS {
        agent.call(protocol, "TicketService.UpdateTicket", change.clone()).await.success();
        assert_eq!(subject(&customer, protocol, ticket, &[]).await, "After");
    }
}

/// A commit that waits for its standby is neither cancelled with its request nor visible, so that no repetition of the request is
/// answered with what a failover would lose.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_no_standby_has_is_not_acknowledged_to_a_repetition() {
    repeat_without_standby("TicketService.CreateTicket", "", "SELECT count(*) - 1 FROM tickets").await;
}

/// A refusal is stored by a single statement, for which the same holds.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_no_standby_has_is_not_acknowledged_to_a_repetition() {
    let stored = "SELECT count(*) FROM idempotency_keys WHERE error_code = 'TICKET_NOT_RESOLVED'";
    repeat_without_standby("TicketService.ReopenTicket", "TICKET_NOT_RESOLVED", stored).await;
}

/// Repeats a call while the standby is frozen, and once after; it then has this reason. `count` is the number of rows that the
/// call writes.
async fn repeat_without_standby(method: &str, reason: &str, count: &str) {
    let pair = Pair::start().await;
    pair.replicate_synchronously().await;
    let app = TestApp::builder().on(&pair.database).start().await;
    let Cast { customer, .. } = app.cast().await;
    let ticket = customer.rest("TicketService.CreateTicket", draft()).await.success().id();
    let request = if reason.is_empty() { draft() } else { json!({ "ticketId": ticket }) };
    let frozen = pair.standby.freeze();
    let key = unique();
    let write = async |protocol, timeout| {
        let headers = [("idempotency-key", key.as_str()), ("x-request-timeout", timeout)];
        customer.call_with(protocol, method, request.clone(), &headers).await
    };
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(3) {
        for protocol in PROTOCOLS {
            let answer = write(protocol, "1s").await;
            let is_refused = ["DEADLINE_EXCEEDED", "IDEMPOTENCY_IN_PROGRESS", "UNAVAILABLE"].contains(&&*answer.reason);
            assert!(is_refused, "{answer:#?}");
        }
        assert_eq!(pair.database.number(count).await, 0, "no session sees it");
    }
    drop(frozen);
    eventually("the write is repeated", async || write(Protocol::Rest, "10s").await.reason == reason).await;
    assert_eq!(pair.database.number(count).await, 1);
}

/// The server of a replica's URL may be a primary, as after a promotion.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_that_a_replica_is_no_standby() {
    let database = TestDatabase::new().await;
    let server = Process::with(&database, &[("DATABASE_REPLICA_URLS", database.url.as_str())]).await;
    server.wait_for_log("the server is no standby; it may have been promoted").await;
}

/// A standby that is promoted while its primary continues has a divergent history.
#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_was_promoted_is_no_replica() {
    let pair = Pair::start().await;
    let app = pair.app(ANY_LAG).await;
    let Cast { customer, agent, .. } = app.cast().await;
    let response = customer.rest("TicketService.CreateTicket", draft()).await.success();
    agent.token().await;
    eventually("the replica is up to date", async || pair.lag(&app).await < 1.0).await;
    pair.catch_up().await;
    assert_eq!(pair.ask_standby("pg_promote()").await, "t");
    // The server looks every 100 ms, and trusts what it knows for half a second.
    tokio::time::sleep(Duration::from_secs(3)).await;
    sql(pair.standby.url(), "UPDATE tickets SET subject = 'Elsewhere'").await;
    for number in 0..20 {
        let protocol = PROTOCOLS[number % PROTOCOLS.len()];
        assert_eq!(subject(&agent, protocol, &response.id(), &[]).await, response.text("/data/subject"));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
