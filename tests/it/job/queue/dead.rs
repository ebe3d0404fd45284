//! Jobs that failed for the last time: notification, and redriving.

use std::sync::atomic::Ordering;

use mainstay_kernel::{
    database::Connection,
    queue::{self, dead},
};

use super::{
    JOBS,
    sample::{Action, add, make_due, plain, start, work},
};
use crate::job::wait_for_count;

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_fails_the_attempt_and_a_dead_job_can_be_redriven() {
    let (database, state, app) = start().await;
    let _worker = work(&app);
    let job = plain(Action::Panic);
    add(&app, job).await;
    let failed = "SELECT count(*) FROM jobs WHERE attempts = 1 AND lease IS NULL AND last_error = 'it panicked' \
                  AND due_at > now() + interval '500 milliseconds'";
    wait_for_count(&database, failed, 1).await;
    make_due(&database).await;
    wait_for_count(&database, "SELECT count(*) FROM jobs WHERE dead_at IS NOT NULL", 1).await;
    assert_eq!((state.runs.load(Ordering::SeqCst), state.given_up.load(Ordering::SeqCst)), (2, 1));

    let list = async |connection: &mut Connection| dead::list(connection, Some("plain"), 10).await;
    let listed = app.database.autocommit(list).await.expect("listed");
    let id = match &listed[..] {
        [one] if one.error.as_deref() == Some("it panicked") && one.payload.contains("Panic") => one.id,
        other => panic!("{other:#?}"),
    };
    let redrive = async move |connection: &mut Connection| dead::redrive(connection, &[id], None, 10).await;
    assert_eq!(app.database.autocommit(redrive).await.expect("redriven"), 1);
    wait_for_count(&database, failed, 1).await;
    assert_eq!(state.runs.load(Ordering::SeqCst), 3);
    // A successor waits, so a dead job of the same key has nothing to do.
    database.sql("UPDATE jobs SET dead_at = now()").await;
    let later = app.clock.now() + chrono::TimeDelta::hours(1);
    let again = async move |connection: &mut Connection| queue::enqueue_at(connection, &job, later).await;
    app.database.autocommit(again).await.expect("added");
    let redrive = async |connection: &mut Connection| dead::redrive(connection, &[], Some("plain"), 10).await;
    assert_eq!(app.database.autocommit(redrive).await.expect("redriven"), 1);
    assert_eq!(database.number(JOBS).await, 1);
}

/// The owner of a job is notified of its death, so that no task has to search for stuck work.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_not_dead_before_it_is_given_up() {
    let (database, state, app) = start().await;
    state.give_up_fails.store(true, Ordering::SeqCst);
    add(&app, plain(Action::Fail)).await;
    database.sql("UPDATE jobs SET attempts = 1").await;
    let _worker = work(&app);
    let waits = "SELECT count(*) FROM jobs WHERE attempts = 2 AND lease IS NULL AND dead_at IS NULL";
    wait_for_count(&database, waits, 1).await;
    make_due(&database).await;
    wait_for_count(&database, "SELECT count(*) FROM jobs WHERE dead_at IS NOT NULL", 1).await;
    assert_eq!((state.runs.load(Ordering::SeqCst), state.given_up.load(Ordering::SeqCst)), (1, 2));
}
