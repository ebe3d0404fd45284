//! Workers that die, stop, or are considered dead.

use std::os::unix::process::ExitStatusExt as _;

use mainstay::operations::{
    id::OperationId,
    ops::{self as operations, Outcome, RunOperation},
};
use mainstay::support::import::{job::ImportTickets, model::ReadOptions};
use nix::sys::signal::Signal;
use tokio_util::sync::CancellationToken;

use super::{assert_imported_once, begin, large, wait_for_end};
use crate::support::{Process, TestApp, TestDatabase, database::connect, eventually, people::Cast};
use mainstay_kernel::{error::Reason, queue::Handler as _};

fn import_job(operation: &str) -> RunOperation<ImportTickets> {
    let operation = OperationId::parse(operation).expect("an id");
    RunOperation { operation, request: ImportTickets { role: 2, options: ReadOptions::default() } }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_batches_neither_loses_nor_repeats_rows() {
    let database = TestDatabase::new().await;
    let idle = Process::with(&database, &[("JOBS_IN_SERVE", "false")]).await;
    let cast = Cast::new(&idle.endpoint, &database).await;
    let account = cast.customer.as_user().account.to_string();
    let operation = begin(&cast.agent, &account, &large(), "one").await;
    let mut doomed = Process::with(&database, &[("MAINSTAY_FAULTS", "operation.step=kill")]).await;
    assert_eq!(doomed.wait().await.signal(), Some(Signal::SIGKILL as i32), "{}", doomed.log());
    assert_eq!(database.number("SELECT rows_done FROM operations").await, 1000, "one batch is stored");
    assert_eq!(database.number("SELECT count(*) FROM tickets").await, 990);

    let _next = Process::start(&database).await;
    let result = wait_for_end(&cast.agent, &operation).await;
    assert_eq!(result["state"], "OPERATION_STATE_SUCCEEDED");
    assert_imported_once(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_kills_its_worker_is_given_up() {
    let database = TestDatabase::new().await;
    let idle = Process::with(&database, &[("JOBS_IN_SERVE", "false")]).await;
    let cast = Cast::new(&idle.endpoint, &database).await;
    let account = cast.customer.as_user().account.to_string();
    let operation = begin(&cast.agent, &account, &large(), "one").await;
    database.sql("UPDATE jobs SET max_attempts = 1").await;
    let mut doomed = Process::with(&database, &[("MAINSTAY_FAULTS", "operation.step=kill")]).await;
    doomed.wait().await;
    let _next = Process::start(&database).await;
    let result = wait_for_end(&cast.agent, &operation).await;
    assert_eq!(result["state"], "OPERATION_STATE_FAILED");
    assert_eq!(result["failure"]["code"], "INTERNAL_ERROR");
    assert_eq!(result["progress"]["rowsDone"], "1000", "the stored rows are reported");
    assert_eq!(database.number("SELECT count(*) FROM upload_chunks").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_shuts_down_hands_its_job_back() {
    let (app, cast) = TestApp::start_with_cast().await;
    let operation = begin(&cast.agent, &cast.customer.as_user().account.to_string(), &large(), "one").await;
    let job = import_job(&operation);
    // Simulates a worker: the job's row has a lease while the job runs.
    app.database.sql("UPDATE jobs SET lease = gen_random_uuid(), attempts = 1").await;
    let stop = CancellationToken::new();
    stop.cancel();
    assert_eq!(operations::run(&app.app, &job, &stop).await.expect("handed back"), Outcome::HandedBack);
    let waiting = "SELECT count(*) FROM jobs WHERE lease IS NULL AND attempts = 0";
    assert_eq!(app.database.number(waiting).await, 1, "a job for the rest waits");
    let running = "SELECT count(*) FROM jobs WHERE lease IS NOT NULL";
    assert_eq!(app.database.number(running).await, 1, "the running job goes on");
    assert_eq!(operations::run(&app.app, &job, &CancellationToken::new()).await.expect("ended"), Outcome::Ended);
    app.database.sql("DELETE FROM jobs").await;
    assert_imported_once(&app.database).await;
}

/// No other worker has to be found for an import without a row left.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_shuts_down_after_the_last_batch_ends_the_import() {
    let (app, cast) = TestApp::start_with_cast().await;
    let file = "subject,body\nSubject,Body\n";
    let operation = begin(&cast.agent, &cast.customer.as_user().account.to_string(), file, "one").await;
    app.database.sql("UPDATE operations SET rows_total = 1, rows_done = 1, rows_created = 1").await;
    let stop = CancellationToken::new();
    stop.cancel();
    assert_eq!(operations::run(&app.app, &import_job(&operation), &stop).await.expect("ended"), Outcome::Ended);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_workers_import_a_file_once() {
    let (app, cast) = TestApp::start_with_cast().await;
    let operation = begin(&cast.agent, &cast.customer.as_user().account.to_string(), &large(), "one").await;
    let job = import_job(&operation);
    let never = CancellationToken::new();
    let runs = (0..4).map(|_| operations::run(&app.app, &job, &never));
    let results = futures_util::future::join_all(runs).await;
    for run in results.into_iter().filter_map(Result::err) {
        assert_eq!(run.reason(), Reason::Conflict, "{run:?}");
    }
    // The run that lost the conflict leaves the rest to the one that won.
    assert_eq!(operations::run(&app.app, &job, &never).await.expect("ended"), Outcome::Ended);
    app.database.sql("DELETE FROM jobs").await;
    assert_imported_once(&app.database).await;
}

/// The steps of an import overlap, so that two imports can wait for each other's rows.
#[tokio::test(flavor = "multi_thread")]
async fn imports_of_the_same_rows_in_opposite_orders_store_each_row_once() {
    const ROUND: usize = 4000;
    let (app, cast) = TestApp::start_with_cast().await;
    let account = cast.customer.as_user().account.to_string();
    let row = |number: &usize| format!("Subject {number},Body {number},Incident,tag\n");
    let file = |numbers: &[usize]| format!("subject,body,type,tag_1\n{}", numbers.iter().map(row).collect::<String>());
    let never = CancellationToken::new();
    for round in 0..3 {
        let mut numbers: Vec<_> = (round * ROUND..(round + 1) * ROUND).collect();
        let forwards = begin(&cast.agent, &account, &file(&numbers), &format!("forwards-{round}")).await;
        numbers.reverse();
        let backwards = begin(&cast.agent, &account, &file(&numbers), &format!("backwards-{round}")).await;
        let (forwards, backwards) = (import_job(&forwards), import_job(&backwards));
        let (one, other) =
            tokio::join!(operations::run(&app.app, &forwards, &never), operations::run(&app.app, &backwards, &never));
        assert_eq!((one.expect("ended"), other.expect("ended")), (Outcome::Ended, Outcome::Ended));
    }
    for (what, count) in [
        ("SELECT count(*) FROM tickets", 12_000),
        ("SELECT count(*) FROM imported_rows", 12_000),
        ("SELECT sum(rows_created)::bigint FROM operations", 12_000),
        ("SELECT sum(rows_known)::bigint FROM operations", 12_000),
    ] {
        assert_eq!(app.database.number(what).await, count, "{what}");
    }
}

/// A worker that was considered dead stores one more batch while its successor processes the same one. The successor
/// must not stop because of this conflict: the first worker stops at its next heartbeat, and no other worker would
/// continue.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_overtaken_by_a_dead_one_goes_on() {
    let (app, cast) = TestApp::start_with_cast().await;
    let operation = begin(&cast.agent, &cast.customer.as_user().account.to_string(), &large(), "one").await;
    let (job, never) = (import_job(&operation), CancellationToken::new());
    // A job that has to run again, or whose operation has to be failed, is not complete.
    for give_up in [false, true] {
        let other = connect(&app.database.url).await;
        other.batch_execute("BEGIN; UPDATE operations SET version = version + 1").await.expect("a lock");
        let run = async {
            match give_up {
                false => operations::run(&app.app, &job, &never).await.map(drop),
                true => job.give_up(&app.app).await,
            }
        };
        let commit = async {
            let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
                         AND datname = current_database()";
            eventually("the successor waits", async || app.database.number(waits).await > 0).await;
            other.batch_execute("COMMIT").await.expect("a commit");
        };
        let (ran, ()) = tokio::join!(run, commit);
        assert_eq!(ran.expect_err("a conflict").reason(), Reason::Conflict);
    }
    assert_eq!(operations::run(&app.app, &job, &never).await.expect("ended"), Outcome::Ended);
    app.database.sql("DELETE FROM jobs").await;
    assert_imported_once(&app.database).await;
    // A late worker has nothing left to do.
    job.give_up(&app.app).await.expect("ended");
    assert_eq!(operations::run(&app.app, &job, &never).await.expect("ended"), Outcome::Ended);
}
