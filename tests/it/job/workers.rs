//! Workers: another worker takes over from a dead one, only one worker runs a job, a job that kills its workers ends,
//! and a shutdown loses nothing. `mainstay worker` and the worker inside `serve` behave the same.

use std::{
    collections::HashSet,
    os::unix::process::ExitStatusExt as _,
    time::{Duration, Instant},
};

use mainstay::webhooks::id::InboundEventId;
use mainstay::webhooks::inbound_event::job::ProcessInboundEvent;
use mainstay_kernel::{
    error::{Error, Reason},
    queue as jobs,
    unit_of_work::Work,
};
use nix::sys::signal::Signal;
use serde_json::json;

use super::wait_for_count;
use crate::{
    cases::{Scene, webhook::webhook_request},
    operation::{assert_imported_once, begin, large, wait_for_end},
    support::{
        ChildProcess, Process, Protocol, TestApp, TestDatabase, database::connect, modules, people::Cast, proxy::Proxy,
        receiver::Receiver, webhook,
    },
};

const JOBS: &str = "SELECT count(*) FROM jobs";

/// A server that runs no jobs itself.
async fn server_without_jobs(database: &TestDatabase) -> (Process, Cast) {
    let server = Process::with(database, &[("JOBS_IN_SERVE", "false")]).await;
    let cast = Cast::new(&server.endpoint, database).await;
    (server, cast)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_worker_finishes_the_job_of_a_dead_one_once() {
    let database = TestDatabase::new().await;
    let (_server, cast) = server_without_jobs(&database).await;
    let operation = begin(&cast.agent, &cast.customer.as_user().account.to_string(), &large(), "one").await;
    let mut doomed = ChildProcess::worker(&database, &[("MAINSTAY_FAULTS", "operation.step=kill")]).await;
    assert_eq!(doomed.wait().await.signal(), Some(Signal::SIGKILL as i32), "{}", doomed.log());
    let _next = ChildProcess::worker(&database, &[]).await;
    assert_eq!(wait_for_end(&cast.agent, &operation).await["state"], "OPERATION_STATE_SUCCEEDED");
    wait_for_count(&database, JOBS, 0).await;
    assert_imported_once(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_kills_its_workers_is_given_up_and_other_jobs_still_run() {
    let database = TestDatabase::new().await;
    let (_server, cast) = server_without_jobs(&database).await;
    let operation = begin(&cast.agent, &cast.customer.as_user().account.to_string(), &large(), "one").await;
    // Two attempts are enough and take less time than five.
    database.sql("UPDATE jobs SET max_attempts = 2").await;
    for _ in 0..2 {
        let mut doomed = ChildProcess::worker(&database, &[("MAINSTAY_FAULTS", "operation.step=kill")]).await;
        assert_eq!(doomed.wait().await.signal(), Some(Signal::SIGKILL as i32), "{}", doomed.log());
    }
    let body = webhook::event("ping");
    let signature = webhook::stripe(&body, 0);
    let signed = [("stripe-signature", signature.as_str())];
    let event = webhook_request("stripe", &body);
    cast.anonymous.call_with(Protocol::Rest, "InboundEventService.ReceiveWebhook", event, &signed).await.success();
    // The import would kill this worker too.
    let third = ChildProcess::worker(&database, &[("MAINSTAY_FAULTS", "operation.step=kill")]).await;
    assert_eq!(wait_for_end(&cast.agent, &operation).await["state"], "OPERATION_STATE_FAILED", "{}", third.log());
    wait_for_count(&database, "SELECT count(*) FROM inbound_events WHERE state <> 1", 1).await;
    let dead = "SELECT count(*) FROM jobs WHERE dead_at IS NOT NULL";
    wait_for_count(&database, dead, 1).await;
    assert_eq!(database.number(JOBS).await, 1, "its row stays for an operator to inspect");
    assert_eq!(database.number("SELECT count(*) FROM tickets").await, 1980, "one batch per dead worker");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_one_worker_runs_a_job() {
    let database = std::sync::Arc::new(TestDatabase::new().await);
    let (_app, scene) = Scene::start_with(TestApp::builder().on(&database).set("WEBHOOK_ALLOW_PRIVATE", "true")).await;
    let own = [("WEBHOOK_ALLOW_PRIVATE", "true"), ("WEBHOOK_CONCURRENCY", "1")];
    let workers = futures_util::future::join_all((0..4).map(|_| ChildProcess::worker(&database, &own))).await;
    for worker in &workers {
        worker.wait_for_log("running background jobs").await;
    }
    let types = ["support.ticket.created"];
    let mut receivers = Vec::new();
    for _ in 0..4 {
        let receiver = Receiver::slow(&[204], Duration::from_millis(300)).await;
        let endpoint = json!({ "url": receiver.url(), "eventTypes": types, "accountId": scene.account() });
        scene.cast.admin.rest("WebhookEndpointService.CreateWebhookEndpoint", endpoint).await.success();
        receivers.push(receiver);
    }
    let one = json!({ "accountId": scene.account(), "subject": "One", "body": "Text" });
    for _ in 0..2 {
        let some = json!({ "tickets": vec![one.clone(); 25] });
        scene.cast.agent.rest("TicketService.BatchCreateTickets", some).await.success();
    }
    wait_for_count(&database, "SELECT count(*) FROM webhook_deliveries WHERE state = 2", 200).await;
    for receiver in receivers {
        let deliveries = receiver.deliveries();
        let events: HashSet<_> = deliveries.iter().map(|delivery| delivery.header("webhook-id").to_owned()).collect();
        assert_eq!((deliveries.len(), events.len()), (50, 50), "each was sent once");
    }
    assert_eq!(database.number("SELECT count(*) FROM webhook_attempts").await, 200);
    let busy = workers.iter().filter(|worker| worker.log().contains("deliver_webhook")).count();
    assert!(busy > 1, "several workers sent deliveries");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_commits_or_rolls_back_with_its_transaction() {
    let app = TestApp::start().await;
    let job = ProcessInboundEvent { event: InboundEventId(mainstay_kernel::id::new(app.app.clock.now())) };
    let rollback = app.app.database.transaction(async move |work: &mut Work| {
        jobs::enqueue(work.connection().await?, &job).await?;
        Err::<(), Error>(Reason::Conflict.into())
    });
    rollback.await.expect_err("rolled back");
    assert_eq!(app.database.number(JOBS).await, 0);
    let commit = app.app.database.transaction(async move |work: &mut Work| {
        let connection = work.connection().await?;
        jobs::enqueue(connection, &job).await?;
        jobs::enqueue(connection, &job).await
    });
    commit.await.expect("committed");
    assert_eq!(app.database.number(JOBS).await, 1, "one job per key");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_resources_without_a_live_job_get_a_new_one() {
    let app = TestApp::start().await;
    let now = app.app.clock.now();
    let jobs = [(); 4].map(|()| ProcessInboundEvent { event: InboundEventId(mainstay_kernel::id::new(now)) });
    let add = app.app.database.transaction(async move |work: &mut Work| {
        let connection = work.connection().await?;
        jobs::enqueue_at(connection, &jobs[0], now + chrono::TimeDelta::hours(1)).await?;
        jobs::enqueue_all(connection, &jobs[1..3]).await
    });
    add.await.expect("committed");
    let dead = format!("UPDATE jobs SET dead_at = now() WHERE key LIKE '%{}'", jobs[1].event);
    app.database.sql(&dead).await;
    let missing = app.app.database.autocommit(async move |connection| jobs::enqueue_missing(connection, &jobs).await);
    assert_eq!(missing.await.expect("added"), 2, "the dead job has a successor, and the missing one is added");
    let later = "SELECT count(*) FROM jobs WHERE due_at > now() + interval '30 minutes'";
    assert_eq!(app.database.number(later).await, 1, "the scheduled job keeps its time");
    assert_eq!(app.database.number("SELECT count(*) FROM jobs WHERE dead_at IS NULL").await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_survives_the_death_of_the_server_that_enqueued_it() {
    let database = TestDatabase::new().await;
    let (server, cast) = server_without_jobs(&database).await;
    cast.agent.token().await;
    let mut doomed =
        Process::with(&database, &[("MAINSTAY_FAULTS", "commit.after=kill"), ("JOBS_IN_SERVE", "false")]).await;
    let request = json!({ "accountId": cast.customer.as_user().account, "file": crate::cases::file(&large()) });
    let response = cast.agent.at(&doomed.endpoint).rest("TicketService.ImportTickets", request).await;
    assert_eq!(response.status, 0, "the caller got a response: {response:#?}");
    assert_eq!(doomed.wait().await.signal(), Some(Signal::SIGKILL as i32), "{}", doomed.log());
    let _worker = ChildProcess::worker(&database, &[]).await;
    let list = cast.agent.at(&server.endpoint).rest("OperationService.ListOperations", json!({})).await;
    let operation = list.success().text("/data/0/id");
    assert_eq!(wait_for_end(&cast.agent, &operation).await["state"], "OPERATION_STATE_SUCCEEDED");
    wait_for_count(&database, JOBS, 0).await;
    assert_imported_once(&database).await;
}

/// Stops a worker while it runs an import and a delivery.
async fn stop_while_jobs_run(inside_serve: bool) {
    let database = TestDatabase::new().await;
    let (_server, cast) = server_without_jobs(&database).await;
    let account = cast.customer.as_user().account.to_string();
    let receiver = Receiver::holding().await;
    let allowed = [("WEBHOOK_ALLOW_PRIVATE", "true"), ("JOBS_IN_SERVE", if inside_serve { "true" } else { "false" })];
    let served = Process::with(&database, &allowed).await;
    let admin = cast.admin.at(&served.endpoint);
    let types = ["support.ticket.created"];
    let endpoint = json!({ "url": receiver.url(), "eventTypes": types, "accountId": account });
    admin.rest("WebhookEndpointService.CreateWebhookEndpoint", endpoint).await.success();
    cast.customer.rest("TicketService.CreateTicket", crate::cases::draft()).await.success();
    database.sql("DELETE FROM tickets").await;
    // The first batch inserts its tickets, then waits for a lock that this test holds. The second one runs beside it, and the third one
    // has not begun.
    let gate = "CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF EXISTS (SELECT FROM added WHERE subject = 'Subject 1') THEN PERFORM pg_advisory_xact_lock(7); END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER gate AFTER INSERT ON tickets
            REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION gate()";
    database.sql(gate).await;
    let lock_holder = connect(&database.url).await;
    lock_holder.batch_execute("SELECT pg_advisory_lock(7)").await.expect("locked");
    let operation = begin(&cast.agent, &account, &large(), "one").await;
    let mut worker = if inside_serve { served.into_running() } else { ChildProcess::worker(&database, &allowed).await };
    receiver.wait_for(1).await;
    database.locks_waited_for(1).await;

    worker.signal(Signal::SIGTERM);
    worker.wait_for_log("running jobs finish or return to the queue").await;
    receiver.open();
    lock_holder.batch_execute("SELECT pg_advisory_unlock(7)").await.expect("unlocked");
    let status = worker.wait().await;
    assert!(status.success(), "{status}: {}", worker.log());
    let delivered = "SELECT count(*) FROM webhook_deliveries WHERE state = 2 AND attempts = 1";
    assert_eq!(database.number(delivered).await, 1, "the running delivery was finished");
    let waiting = "SELECT count(*) FROM jobs WHERE lease IS NULL AND attempts = 0";
    assert_eq!((database.number(waiting).await, database.number(JOBS).await), (1, 1), "the import is handed back");

    database.sql("DROP TRIGGER gate ON tickets").await;
    let _next = ChildProcess::worker(&database, &allowed).await;
    assert_eq!(wait_for_end(&cast.agent, &operation).await["state"], "OPERATION_STATE_SUCCEEDED");
    wait_for_count(&database, JOBS, 0).await;
    assert_eq!(receiver.deliveries().len(), 1);
    assert_imported_once(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_stopped_loses_nothing() {
    stop_while_jobs_run(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_stopped_loses_none_of_its_jobs() {
    stop_while_jobs_run(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_sends_few_statements() {
    /// The bound per second: two or three polls for jobs, one of the schedule, and occasionally a task that runs every
    /// five seconds.
    const MAX_PER_SECOND: u64 = 6;

    let database = std::sync::Arc::new(TestDatabase::new().await);
    let proxy = Proxy::new(&database).await;
    let _app = TestApp::builder().on(&database).with_jobs().set("DATABASE_URL", proxy.url.clone()).start().await;
    // On a new database every scheduled task is due.
    let query = "SELECT count(*) FROM scheduled_tasks WHERE last_succeeded_at IS NOT NULL";
    let tasks = i64::try_from(modules().work().tasks.len()).expect("a few");
    wait_for_count(&database, query, tasks).await;
    let before = proxy.statements();
    let since = Instant::now();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let statements = proxy.statements() - before;
    let most = MAX_PER_SECOND * (since.elapsed().as_secs() + 1);
    assert!((4..most).contains(&statements), "{statements} statements in {:?}", since.elapsed());
}
