//! The end of a run: its outcome is recorded, unless another worker has taken the job over or another job has replaced
//! it.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use mainstay_kernel::queue;

use super::{
    JOBS,
    sample::{Action, PlainJob, add, plain, start, work},
};
use crate::{
    job::wait_for_count,
    support::{database::connect, eventually},
};

/// The run succeeds, fails, or fails for the last time.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_lost_its_lease_changes_nothing() {
    for (action, attempts, given_up) in [(Action::Wait, 0, 0), (Action::WaitAndFail, 0, 0), (Action::WaitAndFail, 1, 1)]
    {
        let (database, state, app) = start().await;
        add(&app, plain(action)).await;
        database.sql(&format!("UPDATE jobs SET attempts = {attempts}")).await;
        let _worker = work(&app);
        state.start.notified().await;
        let taken_over = "UPDATE jobs SET lease = gen_random_uuid(), attempts = 2, due_at = now() + interval '1 hour'";
        database.sql(taken_over).await;
        state.gate.add_permits(1);
        eventually("the run has ended", async || state.given_up.load(Ordering::SeqCst) == given_up).await;
        // Ends are recorded sequentially: that of the last job after that of the first.
        for _ in 0..2 {
            add(&app, plain(Action::Nothing)).await;
            wait_for_count(&database, JOBS, 1).await;
        }
        let theirs = "SELECT count(*) FROM jobs WHERE attempts = 2 AND lease IS NOT NULL AND dead_at IS NULL";
        assert_eq!(database.number(theirs).await, 1, "{action:?} after {attempts}");
    }
}

/// The replacement notifies the waiting owner of the job.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_replaced_during_its_last_attempt_is_not_given_up() {
    let (database, state, app) = start().await;
    let job = plain(Action::WaitAndFail);
    add(&app, job).await;
    database.sql("UPDATE jobs SET attempts = 1").await;
    let _worker = work(&app);
    state.start.notified().await;
    add(&app, PlainJob { action: Action::Nothing, ..job }).await;
    state.gate.add_permits(1);
    wait_for_count(&database, JOBS, 0).await;
    assert_eq!((state.runs.load(Ordering::SeqCst), state.given_up.load(Ordering::SeqCst)), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_dead_as_soon_as_its_last_attempt_has_failed() {
    let (database, _state, app) = start().await;
    add(&app, plain(Action::Fail)).await;
    database.sql("UPDATE jobs SET attempts = 1").await;
    let _worker = work(&app);
    wait_for_count(&database, "SELECT count(*) FROM jobs WHERE attempts = 2 AND lease IS NULL", 1).await;
    assert_eq!(database.number("SELECT count(*) FROM jobs WHERE dead_at IS NOT NULL").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_cant_be_given_up_is_tried_later_and_later() {
    let (database, state, app) = start().await;
    state.give_up_fails.store(true, Ordering::SeqCst);
    add(&app, plain(Action::Fail)).await;
    // It used up its two attempts, and giving it up failed seven times.
    database.sql("UPDATE jobs SET attempts = 9").await;
    let _worker = work(&app);
    let waits = "SELECT count(*) FROM jobs WHERE lease IS NULL AND due_at > now() + interval '30 minutes'";
    wait_for_count(&database, waits, 1).await;
    assert_eq!((state.runs.load(Ordering::SeqCst), state.given_up.load(Ordering::SeqCst)), (0, 1));
}

/// Postgres can't store NUL. An error that contains one would prevent all other failures from being recorded, too.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_with_a_nul_is_recorded() {
    let (database, _state, app) = start().await;
    let _worker = work(&app);
    add(&app, plain(Action::FailWithNul)).await;
    let failed = "SELECT count(*) FROM jobs WHERE attempts = 1 AND lease IS NULL AND last_error LIKE '%a peer % sent'";
    wait_for_count(&database, failed, 1).await;
}

/// A failing job yields to its replacement, and so waits for the transaction that adds it, which may belong to a
/// hanging server. The other jobs of the worker keep their leases meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_waits_for_a_transaction_costs_no_other_job_its_lease() {
    let (database, state, app) = start().await;
    let _worker = work(&app);
    let [stuck, other] = [plain(Action::WaitAndFail), plain(Action::Wait)];
    let key = |job: PlainJob| queue::key::<PlainJob>(job.subject);
    add(&app, stuck).await;
    state.start.notified().await;
    let holder = connect(&database.url).await;
    let replace = format!(
        "BEGIN; INSERT INTO jobs (kind, key, payload, max_attempts) VALUES ('plain', '{}', '{{}}', 2)",
        key(stuck)
    );
    holder.batch_execute(&replace).await.expect("added");
    state.gate.add_permits(1);
    database.locks_waited_for(1).await;
    add(&app, other).await;
    state.start.notified().await;
    let query = format!(
        "SELECT count(*) FROM jobs WHERE key = '{}' AND attempts = 1 AND lease IS NOT NULL AND due_at > now()",
        key(other)
    );
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(12) {
        assert_eq!(database.number(&query).await, 1, "after {:?}", since.elapsed());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(!state.was_dropped.load(Ordering::SeqCst));
    holder.batch_execute("ROLLBACK").await.expect("released");
    state.gate.add_permits(10);
    wait_for_count(&database, "SELECT count(*) FROM jobs WHERE dead_at IS NULL", 0).await;
}
