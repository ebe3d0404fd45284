//! Scheduled tasks run once per period with any number of workers, run at once after a time without workers, and do not
//! delay each other when one of them fails.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use mainstay_kernel::{
    queue::worker::{self, Work},
    schedule::{HOUR, Task},
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::wait_for_count;
use crate::support::modules;
use crate::support::{TestApp, TestDatabase, eventually};

/// Records each run of a task.
async fn count_runs(database: &TestDatabase) {
    let watch = "CREATE TABLE runs (name text, at timestamptz);
        CREATE FUNCTION ran() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO runs VALUES (NEW.name, NEW.last_started_at); RETURN NEW; END $$;
        CREATE TRIGGER ran AFTER UPDATE OF last_started_at ON scheduled_tasks FOR EACH ROW EXECUTE FUNCTION ran()";
    database.sql(watch).await;
}

const SUCCEEDED: &str = "SELECT count(*) FROM scheduled_tasks \
    WHERE last_succeeded_at >= last_started_at AND last_started_at > now() - interval '1 hour'";

fn tasks() -> i64 {
    i64::try_from(modules().work().tasks.len()).expect("a few")
}

#[tokio::test(flavor = "multi_thread")]
async fn many_workers_run_a_task_once_per_period() {
    let database = std::sync::Arc::new(TestDatabase::new().await);
    count_runs(&database).await;
    // Few connections for each, because other tests need theirs.
    let start = || {
        let worker = TestApp::builder().on(&database).with_jobs();
        worker.set("DATABASE_POOL_SIZE", "2").set("JOBS_CONCURRENCY", "1").start()
    };
    let workers = futures_util::future::join_all((0..6).map(|_| start())).await;
    wait_for_count(&database, SUCCEEDED, tasks()).await;
    // By then every worker has polled the schedule more than once, because two tasks are due every five seconds.
    wait_for_count(&database, "SELECT least(count(*), 3) FROM runs WHERE name = 'fold_ticket_counts'", 3).await;
    let twice = "SELECT count(*) FROM (SELECT 1 FROM runs WHERE name NOT IN ('fold_ticket_counts', 'sum_ledger') AND at < \
                 (SELECT min(at) FROM runs) + interval '55 seconds' GROUP BY name HAVING count(*) <> 1) AS twice";
    assert_eq!(database.number(twice).await, 0, "{:?}", database.sql("SELECT * FROM runs ORDER BY at").await);
    let early = "SELECT count(*) FROM runs AS a JOIN runs AS b USING (name) \
                 WHERE a.at < b.at AND b.at - a.at < interval '5 seconds'";
    assert_eq!(database.number(early).await, 0, "{:?}", database.sql("SELECT * FROM runs ORDER BY at").await);
    let metrics = workers[0].private.get("/metrics").await.body.to_string();
    for task in modules().work().tasks {
        let (of_task, period) = (format!("{{task=\\\"{}\\\"}}", task.name), task.every.as_secs());
        for gauge in [
            format!("mainstay_scheduled_task_last_success_timestamp_seconds{of_task} "),
            format!("mainstay_scheduled_task_period_seconds{of_task} {period}\\n"),
        ] {
            assert!(metrics.contains(&gauge), "{gauge}: {metrics}");
        }
    }
}

/// The clock of Postgres determines what is due, not that of a host.
#[tokio::test(flavor = "multi_thread")]
async fn workers_whose_clocks_are_wrong_run_a_task_once_per_period() {
    let database = std::sync::Arc::new(TestDatabase::new().await);
    count_runs(&database).await;
    let start = || {
        let worker = TestApp::builder().on(&database).with_jobs();
        worker.set("DATABASE_POOL_SIZE", "2").set("JOBS_CONCURRENCY", "1").start()
    };
    let (ahead, behind) = tokio::join!(start(), start());
    ahead.app.clock.advance(chrono::TimeDelta::hours(2));
    behind.app.clock.advance(chrono::TimeDelta::hours(-2));
    wait_for_count(&database, SUCCEEDED, tasks()).await;
    // Each worker has polled several times by then.
    wait_for_count(&database, "SELECT least(count(*), 3) FROM runs WHERE name = 'fold_ticket_counts'", 3).await;
    let hourly = "SELECT count(*) FROM runs WHERE name IN ('expire_resets', 'forget_mails', 'forget_operations')";
    assert_eq!(database.number(hourly).await, 3, "{:?}", database.sql("SELECT * FROM runs ORDER BY at").await);
    let wrong = "SELECT count(*) FROM runs WHERE at NOT BETWEEN now() - interval '1 hour' AND now()";
    assert_eq!(database.number(wrong).await, 0);
    // Both workers are in this process, and report their clock offsets in turn.
    let metrics = mainstay_kernel::telemetry::metrics();
    let offset = || {
        let text = metrics.render();
        let offset = text.lines().find_map(|line| line.strip_prefix("mainstay_clock_offset_seconds "));
        offset.and_then(|offset| offset.parse::<f64>().ok()).expect("measured")
    };
    eventually("one is ahead", async || (7100.0..7300.0).contains(&offset())).await;
    eventually("one is behind", async || (-7300.0..-7100.0).contains(&offset())).await;
}

/// The clock of a host jumps while its worker runs a task, such as by a correction of the time.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_during_a_run_neither_repeats_nor_loses_it() {
    static GATE: Semaphore = Semaphore::const_new(0);
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    static TASKS: LazyLock<[Task; 1]> = LazyLock::new(|| {
        [Task::new("slow", HOUR, "Waits for the test", |_| async {
            RUNS.fetch_add(1, Ordering::SeqCst);
            GATE.acquire().await.expect("open").forget();
            Ok(0)
        })]
    });
    let app = TestApp::start().await;
    let (stop, work) = (CancellationToken::new(), Work { jobs: &[], tasks: &*TASKS, ..modules().work() });
    tokio::spawn(worker::run(work, app.app.clone(), stop.clone()));
    let _stop = stop.drop_guard();
    let recorded = async |condition: &str| {
        let sql = format!("SELECT count(*) FROM scheduled_tasks WHERE name = 'slow' AND {condition}");
        app.database.number(&sql).await
    };
    for (round, jump) in [3, -6, 3].into_iter().enumerate() {
        eventually("it runs", async || RUNS.load(Ordering::SeqCst) == round + 1).await;
        app.app.clock.advance(chrono::TimeDelta::hours(jump));
        // The worker polls the schedule each second.
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(RUNS.load(Ordering::SeqCst), round + 1, "the jump makes nothing due");
        GATE.add_permits(1);
        let ended =
            "last_succeeded_at >= last_started_at AND last_succeeded_at BETWEEN now() - interval '1 minute' AND now()";
        eventually("its end is recorded", async || recorded(ended).await == 1).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(RUNS.load(Ordering::SeqCst), round + 1, "the period is that of Postgres");
        let earlier = "UPDATE scheduled_tasks SET last_started_at = last_started_at - interval '61 minutes', \
             last_finished_at = last_finished_at - interval '61 minutes', \
             last_succeeded_at = last_succeeded_at - interval '61 minutes' WHERE name = 'slow'";
        app.database.sql(earlier).await;
    }
    eventually("it runs again after its period", async || RUNS.load(Ordering::SeqCst) == 4).await;
    GATE.add_permits(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_came_due_without_a_worker_runs_once_when_one_starts() {
    let database = std::sync::Arc::new(TestDatabase::new().await);
    let idle = TestApp::builder().on(&database).start().await;
    idle.cast().await;
    // Three days without a worker, in which each task came due many times.
    let names = modules().work().tasks.iter().map(|task| format!("('{}')", task.name)).collect::<Vec<_>>().join(", ");
    let last_runs = format!(
        "INSERT INTO scheduled_tasks SELECT name, now() - interval '3 days', now() - interval '3 days',
             now() - interval '3 days', NULL FROM (VALUES {names}) AS task (name);
         INSERT INTO password_resets SELECT sha256('x'), id, now() - interval '2 days' FROM users LIMIT 1;
         INSERT INTO attempt_limits VALUES (sha256('x'), now() - interval '2 days')"
    );
    database.sql(&last_runs).await;
    count_runs(&database).await;
    let _worker = TestApp::builder().on(&database).with_jobs().start().await;
    wait_for_count(&database, SUCCEEDED, tasks()).await;
    let query = "SELECT (SELECT count(*) FROM password_resets) + (SELECT count(*) FROM attempt_limits)";
    assert_eq!(database.number(query).await, 0, "the overdue tasks have run");
    wait_for_count(&database, "SELECT least(count(*), 2) FROM runs WHERE name = 'fold_ticket_counts'", 2).await;
    let more = "SELECT count(*) FROM (SELECT name FROM runs WHERE name NOT IN ('fold_ticket_counts', 'sum_ledger') AND at < \
                (SELECT min(at) FROM runs) + interval '55 seconds' GROUP BY name HAVING count(*) <> 1) AS more";
    assert_eq!(database.number(more).await, 0, "{:?}", database.sql("SELECT * FROM runs ORDER BY at").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_task_records_its_error_and_the_others_run() {
    let database = std::sync::Arc::new(TestDatabase::new().await);
    database.sql("ALTER TABLE attempt_limits RENAME TO elsewhere").await;
    let _worker = TestApp::builder().on(&database).with_jobs().start().await;
    wait_for_count(&database, SUCCEEDED, tasks() - 1).await;
    let failed =
        "SELECT count(*) FROM scheduled_tasks WHERE last_error IS NOT NULL AND last_finished_at >= last_started_at";
    wait_for_count(&database, failed, 1).await;
    let why = database.sql("SELECT name, last_error FROM scheduled_tasks WHERE last_error IS NOT NULL").await;
    assert_eq!(why[0][0].as_deref(), Some("expire_attempt_limits"));
    assert!(why[0][1].as_deref().is_some_and(|why| why.contains("attempt_limits")), "{why:?}");
    // The task is retried before its period has passed, and can succeed by then.
    let earlier = "ALTER TABLE elsewhere RENAME TO attempt_limits; \
         UPDATE scheduled_tasks SET last_started_at = last_started_at - interval '61 seconds', \
             last_finished_at = last_finished_at - interval '61 seconds' WHERE last_error IS NOT NULL";
    database.sql(earlier).await;
    wait_for_count(&database, SUCCEEDED, tasks()).await;
    wait_for_count(&database, "SELECT count(*) FROM scheduled_tasks WHERE last_error IS NOT NULL", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_whose_worker_died_runs_again() {
    let database = std::sync::Arc::new(TestDatabase::new().await);
    let insert =
        "INSERT INTO scheduled_tasks VALUES ('expire_resets', now() - interval '80 seconds', NULL, NULL, NULL)";
    database.sql(insert).await;
    let _worker = TestApp::builder().on(&database).with_jobs().start().await;
    wait_for_count(&database, SUCCEEDED, tasks() - 1).await;
    let alive = "SELECT count(*) FROM scheduled_tasks WHERE name = 'expire_resets' AND last_finished_at IS NULL";
    assert_eq!(database.number(alive).await, 1, "it may still be running");
    let earlier = "UPDATE scheduled_tasks SET last_started_at = last_started_at - interval '30 seconds' WHERE name = 'expire_resets'";
    database.sql(earlier).await;
    wait_for_count(&database, SUCCEEDED, tasks()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_was_claimed_runs_although_the_next_one_cant_be() {
    static TASKS: LazyLock<[Task; 2]> =
        LazyLock::new(|| ["first", "second"].map(|name| Task::new(name, HOUR, "Does nothing", |_| async { Ok(0) })));
    let app = TestApp::start().await;
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'as the test wants'; END $$;
        CREATE TRIGGER refuse BEFORE UPDATE ON scheduled_tasks FOR EACH ROW WHEN (NEW.name = 'second')
            EXECUTE FUNCTION refuse()";
    app.database.sql(refuse).await;
    let (stop, work) = (CancellationToken::new(), Work { jobs: &[], tasks: &*TASKS, ..modules().work() });
    tokio::spawn(worker::run(work, app.app.clone(), stop.clone()));
    let _stop = stop.drop_guard();
    let ran = "SELECT count(*) FROM scheduled_tasks WHERE name = 'first' AND last_succeeded_at >= last_started_at";
    wait_for_count(&app.database, ran, 1).await;
}
