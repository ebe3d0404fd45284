//! The queue itself, with jobs of the test: mutual exclusion, leases, panics, wake-ups, and the drain.

mod dead;
mod ends;
mod lanes;
mod rows;
mod sample;

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use mainstay_kernel::{
    clock::Clock,
    database::Connection,
    id,
    queue::{self, worker},
    unit_of_work::Work,
};
use rand::{Rng as _, SeedableRng as _};
use tokio_util::sync::CancellationToken;

use super::wait_for_count;
use crate::support::{TestDatabase, database::connect, eventually};
use sample::{Action, GroupedJob, PlainJob, State, add, app, make_due, plain, start, work};

const JOBS: &str = "SELECT count(*) FROM jobs";

/// Several workers run jobs of few keys and groups, which take random times, are replaced and fail: no two jobs of a
/// key or group run concurrently, and each job ends.
#[tokio::test(flavor = "multi_thread")]
async fn no_two_workers_run_one_job_or_one_group() {
    let (database, state) = (Arc::new(TestDatabase::new().await), Arc::<State>::default());
    let mut apps = Vec::new();
    for _ in 0..3 {
        apps.push(app(&database, &state).await);
    }
    let _workers: Vec<_> = apps.iter().map(work).collect();
    let subjects: Vec<_> = (0..12).map(|_| id::new(Clock::default().now())).collect();
    let mut rng = rand::rngs::StdRng::seed_from_u64(7);
    for round in 0..200 {
        let (subject, group, ms, fails) =
            (rng.random_range(0..12), rng.random_range(0..4), rng.random_range(0..20), rng.random_ratio(1, 20));
        let action = if fails { Action::Fail } else { Action::Sleep(ms) };
        if round % 2 == 0 {
            add(&apps[round % 3], PlainJob { subject: subjects[subject], action }).await;
        } else {
            add(&apps[round % 3], GroupedJob { subject: id::new(Clock::default().now()), group, action }).await;
        }
    }
    eventually("all jobs have ended", async || {
        make_due(&database).await;
        database.number("SELECT count(*) FROM jobs WHERE dead_at IS NULL").await == 0
    })
    .await;
    assert_eq!(state.overlaps.load(Ordering::SeqCst), 0);
    assert!(state.runs.load(Ordering::SeqCst) >= 100, "each group's jobs ran");
}

/// A thousand jobs wait for a group whose first one hangs; another group's job does not wait for them.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_hangs_delays_no_other() {
    let (_database, state, app) = start().await;
    let jobs: Vec<_> = (0..1000)
        .map(|_| GroupedJob { subject: id::new(Clock::default().now()), group: 1, action: Action::Wait })
        .collect();
    let many = async move |work: &mut Work| queue::enqueue_all(work.connection().await?, &jobs).await;
    app.database.transaction(many).await.expect("added");
    let _worker = work(&app);
    state.start.notified().await;
    add(&app, GroupedJob { subject: id::new(Clock::default().now()), group: 2, action: Action::Nothing }).await;
    eventually("the other group's job ran", async || state.runs.load(Ordering::SeqCst) == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_lost_its_lease_is_stopped() {
    let (database, state, app) = start().await;
    let _worker = work(&app);
    add(&app, plain(Action::Wait)).await;
    state.start.notified().await;
    let query = "SELECT count(*) FROM jobs WHERE lease IS NOT NULL AND due_at > now()";
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(11) {
        assert_eq!(database.number(query).await, 1, "heartbeats extend the lease, which is shorter than this loop");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    database.sql("UPDATE jobs SET lease = gen_random_uuid()").await;
    eventually("it is stopped", async || state.was_dropped.load(Ordering::SeqCst)).await;
}

/// A heartbeat that waits while another worker takes the job over extends no lease but its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_heartbeat_of_an_earlier_run_does_not_extend_a_later_one() {
    let (database, state, app) = start().await;
    let _worker = work(&app);
    add(&app, plain(Action::Wait)).await;
    state.start.notified().await;
    let outside = connect(&database.url).await;
    outside.batch_execute("BEGIN; SELECT FROM jobs FOR UPDATE").await.expect("the lock");
    database.locks_waited_for(1).await;
    let take_over = "UPDATE jobs SET lease = gen_random_uuid(), due_at = now() + interval '1 hour'; COMMIT";
    outside.batch_execute(take_over).await.expect("the heartbeat goes on");
    eventually("the earlier run is stopped", async || state.was_dropped.load(Ordering::SeqCst)).await;
    let extended = "SELECT count(*) FROM jobs WHERE due_at < now() + interval '50 minutes'";
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(6) {
        assert_eq!(database.number(extended).await, 0, "the later run has its own lease");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(database.number(JOBS).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_replaced_while_it_runs_is_followed_and_not_retried() {
    let (database, state, app) = start().await;
    let _worker = work(&app);
    let job = plain(Action::Wait);
    add(&app, job).await;
    state.start.notified().await;
    add(&app, PlainJob { action: Action::Fail, ..job }).await;
    add(&app, PlainJob { action: Action::Nothing, ..job }).await;
    assert_eq!(database.number(JOBS).await, 2, "one runs, and the last one waits");
    state.gate.add_permits(1);
    wait_for_count(&database, JOBS, 0).await;
    let (runs, overlaps) = (state.runs.load(Ordering::SeqCst), state.overlaps.load(Ordering::SeqCst));
    assert_eq!((runs, overlaps), (2, 0));

    // The same when the first one's worker dies.
    let retired = PlainJob { action: Action::Fail, ..job };
    let later = app.clock.now() + chrono::TimeDelta::hours(1);
    let both = async move |connection: &mut Connection| queue::enqueue_at(connection, &retired, later).await;
    app.database.autocommit(both).await.expect("added");
    database.sql("UPDATE jobs SET lease = gen_random_uuid(), attempts = 1").await;
    let next = async move |connection: &mut Connection| queue::enqueue_at(connection, &job, later).await;
    app.database.autocommit(next).await.expect("added");
    database.sql("UPDATE jobs SET due_at = now() WHERE lease IS NOT NULL").await;
    wait_for_count(&database, JOBS, 1).await;
    assert_eq!(state.runs.load(Ordering::SeqCst), 2, "it did not run again");
}

/// A job starts when its transaction commits, not at the next poll.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_wakes_the_worker() {
    let (_database, state, app) = start().await;
    let _worker = work(&app);
    let mut delays = Vec::new();
    for number in 1..=50 {
        let since = Instant::now();
        add(&app, plain(Action::Nothing)).await;
        while state.runs.load(Ordering::SeqCst) < number {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        delays.push(since.elapsed());
    }
    // A poll comes 375 ms after the last one at the earliest. A busy machine may be late with most.
    let woken = delays.iter().filter(|delay| **delay < Duration::from_millis(300)).count();
    assert!(woken >= 10, "{woken} of 50 jobs did not wait for a poll: {delays:?}");
}

/// Workers are not notified of jobs that another process adds.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_another_process_starts_within_a_second() {
    let (database, state, here) = start().await;
    let elsewhere = app(&database, &state).await;
    let _worker = work(&here);
    let since = Instant::now();
    for number in 1..=10 {
        add(&elsewhere, plain(Action::Nothing)).await;
        while state.runs.load(Ordering::SeqCst) < number {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    // A poll may take up to a second; the rest is for a busy machine.
    assert!(since.elapsed() < Duration::from_secs(40), "{:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_stopped_returns_a_job_that_does_not_end_with_its_attempt() {
    let (database, state, app) = start().await;
    let stop = CancellationToken::new();
    let worker = tokio::spawn(worker::run(sample::jobs(), app.clone(), stop.clone()));
    add(&app, plain(Action::Wait)).await;
    state.start.notified().await;
    stop.cancel();
    let late = plain(Action::Nothing);
    add(&app, late).await;
    worker.await.expect("no panic");
    assert!(state.was_dropped.load(Ordering::SeqCst), "it was stopped");
    let due = "SELECT count(*) FROM jobs WHERE lease IS NULL AND attempts = 0 AND due_at <= now()";
    assert_eq!((database.number(due).await, database.number(JOBS).await), (2, 2));
    state.gate.add_permits(1);
    let _next = work(&app);
    wait_for_count(&database, JOBS, 0).await;
}

/// The gauges count the waiting jobs of a lane, and report how long the oldest has waited.
#[tokio::test(flavor = "multi_thread")]
async fn the_depth_and_age_of_each_lane_are_measured() {
    let (database, _state, app) = start().await;
    for _ in 0..6 {
        add(&app, plain(Action::Wait)).await;
    }
    database.sql("UPDATE jobs SET due_at = now() - interval '1 hour'").await;
    let metrics = mainstay_kernel::telemetry::metrics();
    let _worker = work(&app);
    let value = |name: &str| {
        let text = metrics.render();
        let line = text.lines().find(|line| line.starts_with(&format!("{name}{{lane=\"plain\"}}")))?;
        line.rsplit(' ').next()?.parse::<f64>().ok()
    };
    eventually("the lane is measured", async || value("mainstay_jobs_due").is_some()).await;
    // Four of them may have started by then.
    assert!((2.0..=6.0).contains(&value("mainstay_jobs_due").expect("measured")));
    assert!(value("mainstay_jobs_oldest_due_seconds").expect("measured") >= 3600.0);
}
