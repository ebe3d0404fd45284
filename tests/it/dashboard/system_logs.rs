//! The log is stored as it is written, within bounds, and faults of its store affect nothing else.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta};
use futures_util::future::join_all;
use mainstay::dashboard::system_log::{
    logs::{POOL_SIZE, SystemLogs},
    model::{Level, Line},
    store,
};
use mainstay_kernel::{database::Connection, error::Reason, id};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::support::{
    Actor, ChildProcess, PROTOCOLS, Process, Protocol, Response, TestApp, TestDatabase, database::connect, eventually,
    people::Cast, unique,
};

const LOGS: &str = "SystemLogService.ListSystemLogs";
const REVENUE: &str = "RevenueService.GetRevenue";

async fn list(who: &Actor, request: Value) -> Vec<Value> {
    let answer = who.rest(LOGS, request).await.success();
    assert_eq!((answer.status, &answer.body["meta"]["degraded"]), (200, &json!([])), "{answer:#?}");
    answer.data().as_array().expect("lines").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_are_stored_and_found() {
    let database = TestDatabase::new().await;
    let server = Process::start(&database).await;
    let cast = Cast::new(&server.endpoint, &database).await;
    let customer = cast.customer.rest("UserService.GetMe", json!({})).await.success().id();
    let id = format!("request-{}", unique());
    let named = [("x-request-id", id.as_str())];
    cast.customer.call_with(Protocol::Grpc, "UserService.GetMe", json!({}), &named).await.success();
    eventually("the line is stored", async || !list(&cast.admin, json!({ "requestId": id })).await.is_empty()).await;
    let entry = list(&cast.admin, json!({ "requestId": id })).await.remove(0);
    assert_eq!((&entry["method"], &entry["requestId"]), (&json!("UserService.GetMe"), &json!(id)));
    assert_eq!((&entry["principalId"], &entry["level"]), (&json!(customer), &json!("SYSTEM_LOG_LEVEL_INFO")));
    assert_eq!(entry["message"], "request completed");

    for filter in [
        json!({ "principalId": customer, "method": "UserService.GetMe" }),
        json!({ "text": id.to_uppercase() }),
        json!({ "startTime": entry["logTime"], "level": "SYSTEM_LOG_LEVEL_INFO", "requestId": id }),
    ] {
        let lines = list(&cast.admin, filter.clone()).await;
        assert!(lines.iter().any(|line| line["id"] == entry["id"]), "{filter}: {lines:#?}");
    }
    for filter in [
        json!({ "requestId": id, "level": "SYSTEM_LOG_LEVEL_WARNING" }),
        json!({ "requestId": id, "endTime": entry["logTime"] }),
        json!({ "requestId": id, "method": "UserService.GetUser" }),
        json!({ "requestId": id, "text": "%" }),
    ] {
        assert!(list(&cast.admin, filter.clone()).await.is_empty(), "{filter}");
    }

    // The stored lines are those of stderr, so they contain no secret: `logs.rs` checks stderr for secrets.
    let rows = database.sql("SELECT line FROM system_logs").await;
    let lines: BTreeSet<_> = rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
    assert!(lines.len() > 2, "nothing was checked");
    for line in &lines {
        server.wait_for_log(&format!("{line}\n")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_lines_of_a_server_that_stops_are_stored() {
    let database = TestDatabase::new().await;
    let mut server = Process::start(&database).await;
    server.signal(Signal::SIGTERM);
    assert!(server.wait().await.success());
    let last = "SELECT count(*) FROM system_logs WHERE message = 'stopped'";
    assert_eq!(database.number(last).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_lines_of_a_worker_that_stops_are_stored() {
    let database = TestDatabase::new().await;
    let mut worker = ChildProcess::worker(&database, &[]).await;
    worker.wait_for_log("running background jobs").await;
    worker.signal(Signal::SIGTERM);
    assert!(worker.wait().await.success());
    let last = "SELECT count(*) FROM system_logs WHERE message LIKE 'shutting down: running jobs finish%'";
    assert_eq!(database.number(last).await, 1);
}

fn lines(count: i64, from: i64) -> Vec<Line> {
    let line = |number: i64| {
        let at = DateTime::from_timestamp(1_790_000_000 + number, 0).expect("a time");
        let (method, request_id, principal_id) = (None, Some(number.to_string()), None);
        let message = "a line".to_owned();
        Line {
            id: id::new(at),
            at,
            level: Level::Info,
            message,
            method,
            request_id,
            principal_id,
            line: "{}".to_owned(),
        }
    };
    (from..from + count).map(line).collect()
}

#[tokio::test]
async fn the_ring_keeps_what_is_new_and_never_grows() {
    let app = TestApp::start().await;
    let logs = app.app.part::<SystemLogs>();
    let day = TimeDelta::days(1);
    for batch in 0..40 {
        let lines = &lines(10, batch * 10);
        logs.run(false, async |connection| store::insert(connection, lines).await).await.expect("stored");
        let rotate = async |connection: &mut _| store::rotate(connection, 20, day).await;
        let rotated = logs.run(false, rotate).await.expect("looked at");
        assert_eq!(rotated, batch % 2 == 1, "a partition takes two batches");
        let count = app.database.number("SELECT count(*) FROM system_logs").await;
        assert!(count <= 160 && count >= (batch * 10 + 10).min(140), "{count} after batch {batch}");
        let oldest = app.database.number("SELECT min(request_id::integer) FROM system_logs").await;
        assert_eq!(oldest, batch * 10 + 10 - count, "the oldest go first");
    }
    // Old lines are removed although there are few.
    app.database.sql("UPDATE system_log_ring SET began_at = now() - interval '2 days'").await;
    assert!(logs.run(false, async |connection| store::rotate(connection, 20, day).await).await.expect("looked at"));
}

/// Asserts an answer without the store: in time, and with the available lines.
fn assert_degraded(answer: &Response) {
    assert_eq!((answer.status, answer.reason.as_str()), (206, ""), "{answer:#?}");
    let missing = &answer.body["meta"]["degraded"];
    assert_eq!((&missing[0]["code"], &missing[0]["part"]), (&json!("DEGRADED_PERFORMANCE"), &json!("system_logs")));
    assert_eq!(missing.as_array().map(Vec::len), Some(1));
}

/// Requests the log and revenue over every protocol while the store is unavailable.
async fn only_the_log_is_degraded(admin: &Actor, id: &str) {
    for protocol in PROTOCOLS {
        // Enough failures to open the circuit.
        for _ in 0..3 {
            let answer = admin.call(protocol, LOGS, json!({ "requestId": id, "pageSize": 1 })).await;
            assert_degraded(&answer);
            assert_eq!(answer.data()[0]["requestId"], id, "the last lines of the server itself: {answer:#?}");
            assert_eq!(admin.call(protocol, REVENUE, json!({})).await.success().status, 200);
        }
    }
}

async fn recovers(admin: &Actor, id: &str) {
    eventually("the store is read again", async || {
        let answer = admin.rest(LOGS, json!({ "requestId": id })).await.success();
        answer.status == 200 && answer.data().as_array().is_some_and(|lines| !lines.is_empty())
    })
    .await;
}

/// Returns a server, an admin, and the id of a request whose line is stored.
async fn with_a_line(database: &TestDatabase) -> (Process, Actor, String) {
    let server = Process::start(database).await;
    let admin = Cast::new(&server.endpoint, database).await.admin;
    let id = format!("request-{}", unique());
    admin.call_with(Protocol::Rest, "UserService.GetMe", json!({}), &[("x-request-id", id.as_str())]).await.success();
    recovers(&admin, &id).await;
    (server, admin, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_on_the_log_degrades_nothing_else() {
    let database = TestDatabase::new().await;
    let (_server, admin, id) = with_a_line(&database).await;
    let locker = connect(&database.url).await;
    locker
        .batch_execute("BEGIN; LOCK TABLE system_logs, system_log_ring IN ACCESS EXCLUSIVE MODE")
        .await
        .expect("a lock");
    only_the_log_is_degraded(&admin, &id).await;
    locker.batch_execute("ROLLBACK").await.expect("an end");
    recovers(&admin, &id).await;
}

/// Callers with deadlines shorter than the store's get the usual error, and other callers are not affected.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_in_a_hurry_says_nothing_about_the_store() {
    let app = TestApp::start().await;
    let admin = app.cast().await.admin;
    assert!(list(&admin, json!({})).await.is_empty(), "this server stores no lines");
    let locker = connect(&app.database.url).await;
    locker.batch_execute("BEGIN; LOCK TABLE system_logs IN ACCESS EXCLUSIVE MODE").await.expect("a lock");
    // Enough failures to open the circuit.
    for _ in 0..6 {
        let hurry = [("x-request-timeout", "0.2")];
        admin.call_with(Protocol::Rest, LOGS, json!({}), &hurry).await.failure("DEADLINE_EXCEEDED");
    }
    locker.batch_execute("ROLLBACK").await.expect("an end");
    list(&admin, json!({})).await;
}

/// Several callers search at once, and others fail to get a connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_busy_pool_says_nothing_about_the_store() {
    let app = TestApp::start().await;
    let (logs, admin) = (app.app.part::<SystemLogs>(), app.cast().await.admin);
    let (began, end) = (Semaphore::new(0), Semaphore::new(0));
    let search = async |_: &mut Connection| {
        began.add_permits(1);
        drop(end.acquire().await);
        Ok(())
    };
    let searches = join_all((0..POOL_SIZE).map(|_| logs.run(true, search)));
    let others = async {
        drop(began.acquire_many(POOL_SIZE).await);
        // Enough failures to open the circuit.
        for other in join_all((0..6).map(|_| logs.run(false, async |_| Ok(())))).await {
            assert_eq!(other.expect_err("no connection is left").reason(), Reason::Unavailable);
        }
        end.add_permits(1);
    };
    let (searched, ()) = tokio::join!(searches, others);
    assert!(searched.iter().all(Result::is_ok), "{searched:?}");
    list(&admin, json!({})).await;
}

#[tokio::test]
async fn a_lock_that_is_not_available_says_nothing_about_the_store() {
    let app = TestApp::start().await;
    let logs = app.app.part::<SystemLogs>();
    for _ in 0..6 {
        let result = logs.run(false, async |_| Err::<(), _>(Reason::Conflict.into())).await;
        assert_eq!(result.expect_err("as it is").reason(), Reason::Conflict);
    }
    list(&app.cast().await.admin, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_log_degrades_nothing_else() {
    let database = TestDatabase::new().await;
    let (_server, admin, id) = with_a_line(&database).await;
    database.sql("ALTER TABLE system_logs RENAME TO dropped").await;
    only_the_log_is_degraded(&admin, &id).await;
    database.sql("ALTER TABLE dropped RENAME TO system_logs").await;
    recovers(&admin, &id).await;
}

/// Suspended processes of Postgres, which resume when this value is dropped.
struct Stopped(Vec<Pid>);

impl Drop for Stopped {
    fn drop(&mut self) {
        for pid in &self.0 {
            kill(*pid, Signal::SIGCONT).ok();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_the_log_that_hang_degrade_nothing_else() {
    let database = TestDatabase::new().await;
    let (_server, admin, id) = with_a_line(&database).await;
    let theirs = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
                  AND query LIKE '%system_log%'";
    let rows = database.sql(theirs).await;
    let pid =
        |row: Vec<Option<String>>| Pid::from_raw(row[0].as_ref().and_then(|pid| pid.parse().ok()).expect("a pid"));
    let stopped = Stopped(rows.into_iter().map(pid).collect());
    assert!(!stopped.0.is_empty(), "the pool has connections");
    for pid in &stopped.0 {
        kill(*pid, Signal::SIGSTOP).expect("a process of Postgres");
    }
    for _ in 0..10 {
        // A hanging connection is discarded, and the pool opens others.
        let answer = admin.rest(LOGS, json!({})).await.success();
        assert!(matches!(answer.status, 200 | 206), "{answer:#?}");
        admin.rest(REVENUE, json!({})).await.success();
    }
    drop(stopped);
    recovers(&admin, &id).await;
}
