//! Tables partitioned by month: months are added in advance and dropped after their retention, under locks and crashes,
//! and every row has a partition.

use std::{
    os::unix::process::ExitStatusExt as _,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use mainstay_kernel::{error::Reason, id};
use nix::sys::signal::Signal;

use crate::support::{Process, TestApp, TestDatabase, database::connect, servers};

const TABLES: [&str; 3] = ["activities", "webhook_deliveries", "webhook_attempts"];
const TASK: &str = "keep_partitions";

/// A time in the current month and in each of the four before it.
const TIMES: &str = "(SELECT date_trunc('month', now(), 'UTC') - n * interval '1 month' + interval '2 days' AS time
    FROM generate_series(0, 4) AS n) AS times";

/// The number of these months that ended less than 30 days ago, or have not ended: one to three.
const KEPT: &str = "SELECT count(*) FROM generate_series(0, 4) AS n
    WHERE date_trunc('month', now(), 'UTC') - (n - 1) * interval '1 month' > now() - interval '30 days'";

/// Tables that were detached and still exist.
const DETACHED: &str = "SELECT count(*) FROM pg_class JOIN pg_description ON objoid = pg_class.oid
    WHERE NOT relispartition AND description LIKE 'detached from public.%'";

/// Adds these months to a table, with a row in each.
async fn fill(database: &TestDatabase, table: &str) {
    let row = match table {
        "activities" => "uuid_floor(time), gen_random_uuid(), NULL, 0, 1, '', time",
        "webhook_deliveries" => {
            "uuid_floor(time), gen_random_uuid(), gen_random_uuid(), 'support.ticket.created', '{}', 2, 1, 1, NULL, 1, time, time"
        }
        "webhook_attempts" => "uuid_floor(time), 1, time, 1, 204, NULL",
        other => panic!("{other}"),
    };
    database.sql(&format!("SELECT add_partition('{table}', time) FROM {TIMES}")).await;
    database.sql(&format!("INSERT INTO {table} SELECT {row} FROM {TIMES}")).await;
}

async fn rows(database: &TestDatabase, table: &str) -> i64 {
    database.number(&format!("SELECT count(*) FROM {table}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_adds_the_months_ahead() {
    let database = TestDatabase::empty().await;
    for _ in 0..2 {
        servers::migrate(&database.url).await;
        for table in TABLES {
            let reach = format!(
                "SELECT count(*) FROM partition_state('{table}', now())
                 WHERE until > now() + interval '58 days' AND until < now() + interval '93 days' AND strays = 0"
            );
            assert_eq!(database.number(&reach).await, 1, "{table}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn months_past_their_retention_are_dropped_and_nothing_else() {
    let app = TestApp::builder().set("ACTIVITIES_KEPT", "30d").start().await;
    for table in TABLES {
        fill(&app.database, table).await;
        assert_eq!(rows(&app.database, table).await, 5, "{table}");
    }
    // A pending delivery keeps its month, and that of its attempts, at any age.
    let oldest = "SELECT id FROM webhook_deliveries ORDER BY id LIMIT 1";
    let pending = format!("UPDATE webhook_deliveries SET state = 1, next_attempt_at = now() WHERE id = ({oldest})");
    app.database.sql(&pending).await;
    let count = app.database.number(KEPT).await;
    assert!((1..=3).contains(&count), "{count}");

    let changes = app.run_task(TASK).await.expect("done");
    assert_eq!(i64::try_from(changes).expect("a few"), 3 * (5 - count) - 2);
    let counts = [count, count + 1, count + 1];
    for (table, expected) in TABLES.into_iter().zip(counts) {
        assert_eq!(rows(&app.database, table).await, expected, "{table}");
    }
    assert_eq!(app.database.number(DETACHED).await, 0);

    let update = format!("UPDATE webhook_deliveries SET state = 2, next_attempt_at = NULL WHERE id = ({oldest})");
    app.database.sql(&update).await;
    assert_eq!(app.run_task(TASK).await.expect("done"), 2);
    for table in TABLES {
        assert_eq!(rows(&app.database, table).await, count, "{table}");
    }
    assert_eq!(app.run_task(TASK).await.expect("done"), 0);
    assert_eq!(app.database.number(DETACHED).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_and_their_attempts_have_a_retention_of_their_setting() {
    let app = TestApp::builder().set("WEBHOOK_DELIVERIES_KEPT", "400d").start().await;
    for table in ["webhook_deliveries", "webhook_attempts"] {
        fill(&app.database, table).await;
    }
    app.run_task(TASK).await.expect("done");
    for table in ["webhook_deliveries", "webhook_attempts"] {
        assert_eq!(rows(&app.database, table).await, 5, "{table}");
    }
}

/// The audit trail is kept unless a retention is configured.
#[tokio::test(flavor = "multi_thread")]
async fn tables_without_retention_are_kept() {
    let app = TestApp::start().await;
    fill(&app.database, "activities").await;
    assert_eq!(app.run_task(TASK).await.expect("done"), 0);
    assert_eq!(rows(&app.database, "activities").await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_clock_is_ahead_drops_no_month() {
    let app = TestApp::builder().set("ACTIVITIES_KEPT", "400d").start().await;
    fill(&app.database, "activities").await;
    app.app.clock.advance(TimeDelta::days(1000));
    assert_eq!(app.run_task(TASK).await.expect("done"), 15, "three months for each table");
    assert_eq!(rows(&app.database, "activities").await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_add_and_drop_each_month_once() {
    let database = Arc::new(TestDatabase::new().await);
    let start = || TestApp::builder().on(&database).set("ACTIVITIES_KEPT", "30d").start();
    let (one, other) = tokio::join!(start(), start());
    fill(&database, "activities").await;
    let count = database.number(KEPT).await;
    for app in [&one, &other] {
        // Two to three months more for each table.
        app.app.clock.advance(TimeDelta::days(62));
    }
    let months = "SELECT count(*) FROM pg_class WHERE relispartition AND relkind = 'r' AND relname ~ '_[0-9]{6}$'";
    let before = database.number(months).await;
    let (first, second) = tokio::join!(one.run_task(TASK), other.run_task(TASK));
    let changes = i64::try_from(first.expect("done") + second.expect("done")).expect("a few");
    let dropped = 5 - count;
    assert_eq!(database.number(months).await, before + (changes - dropped) - dropped);
    assert_eq!(rows(&database, "activities").await, count);
    assert_eq!(database.number(DETACHED).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_at_the_turn_of_a_month_is_in_its_month() {
    let database = TestDatabase::new().await;
    // The first id of the next month, and the last one before it.
    let insert = "INSERT INTO activities SELECT id, id, NULL, 0, 1, '', now()
        FROM (SELECT min(uuid_time(first_id)) AS turn FROM partitions_of('activities') WHERE first_id > uuid_floor(now())) AS next,
            LATERAL (VALUES (uuid_floor(turn)),
                ((left(uuid_floor(turn - interval '1 millisecond')::text, 14) || '7fff-bfff-ffffffffffff')::uuid)) AS ids (id)";
    database.sql(insert).await;
    let placed = "SELECT count(*) FROM activities JOIN partitions_of('activities') ON partition = tableoid
        WHERE id >= first_id AND id < end_id";
    assert_eq!(database.number(placed).await, 2);
    assert_eq!(database.number("SELECT count(DISTINCT tableoid) FROM activities").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_no_month_is_kept_and_moves_to_its_month() {
    let app = TestApp::start().await;
    let insert = async |id: uuid::Uuid| {
        app.database.sql(&format!("INSERT INTO activities VALUES ('{id}', '{id}', NULL, 0, 1, '', now())")).await;
    };
    // The months in advance end after 92 days at most.
    let (now, later) = (app.app.clock.now(), TimeDelta::days(100));
    insert(id::new(now + later)).await;
    insert(id::new(now - TimeDelta::days(1000))).await;
    insert(uuid::Uuid::nil()).await;
    assert_eq!(rows(&app.database, "activities_rest").await, 3);
    assert_eq!(app.run_task(TASK).await.expect("done"), 1, "the month of a thousand days ago");
    assert_eq!(rows(&app.database, "activities_rest").await, 2);
    app.app.clock.advance(later);
    assert!(app.run_task(TASK).await.expect("done") > 0);
    assert_eq!(rows(&app.database, "activities_rest").await, 1, "an id without a time stays");
    assert_eq!(rows(&app.database, "activities").await, 3);
}

/// More rows than can be moved without blocking others stay in place, and block nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn too_many_rows_to_move_are_reported_and_do_not_keep_old_months() {
    let app = TestApp::builder().set("ACTIVITIES_KEPT", "30d").start().await;
    fill(&app.database, "activities").await;
    // With the version of a UUIDv7, like ids that a server generates.
    let many = "INSERT INTO activities
        SELECT overlay(uuid_floor('2020-05-01Z'::timestamptz + n * interval '1 millisecond')::text PLACING '7' FROM 15)::uuid,
            gen_random_uuid(), NULL, 0, 1, '', now() FROM generate_series(1, 100001) AS n";
    app.database.sql(many).await;
    let error = app.run_task(TASK).await.expect_err("too many");
    assert!(error.detail().contains("2020-05"), "{}", error.detail());
    assert_eq!(rows(&app.database, "activities").await, 100_001 + app.database.number(KEPT).await);
    app.database.sql("SELECT add_partition('activities', '2020-05-01Z', 200000)").await;
    assert_eq!(app.run_task(TASK).await.expect("done"), 1);
    assert_eq!(rows(&app.database, "activities").await, app.database.number(KEPT).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_that_was_detached_by_a_worker_that_died_is_dropped_by_the_next() {
    let database = Arc::new(TestDatabase::new().await);
    fill(&database, "activities").await;
    let count = database.number(KEPT).await;
    let settings = [("ACTIVITIES_KEPT", "30d"), ("MAINSTAY_FAULTS", "partitions.detached=kill")];
    let mut doomed = Process::with(&database, &settings).await;
    assert_eq!(doomed.wait().await.signal(), Some(Signal::SIGKILL as i32), "{}", doomed.log());
    assert_eq!(database.number(DETACHED).await, 5 - count, "the process died in between");
    assert_eq!(rows(&database, "activities").await, count);
    let app = TestApp::builder().on(&database).set("ACTIVITIES_KEPT", "30d").start().await;
    app.run_task(TASK).await.expect("done");
    assert_eq!(database.number(DETACHED).await, 0);
    assert_eq!(rows(&database, "activities").await, count);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_partitions_delays_no_query_for_long() {
    const WRITE: &str =
        "INSERT INTO activities SELECT uuid_floor(clock_timestamp()), gen_random_uuid(), NULL, 0, 1, '', now()";
    let app = TestApp::builder().set("ACTIVITIES_KEPT", "30d").start().await;
    fill(&app.database, "activities").await;
    let reader = connect(&app.database.url).await;
    reader.batch_execute("BEGIN; SELECT count(*) FROM activities").await.expect("a read");
    let writes = async {
        let mut slowest = Duration::ZERO;
        for _ in 0..20 {
            let since = Instant::now();
            app.database.sql(WRITE).await;
            slowest = slowest.max(since.elapsed());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        slowest
    };
    let (result, slowest) = tokio::join!(app.run_task(TASK), writes);
    let error = result.expect_err("a transaction reads the table");
    assert!(error.reason() == Reason::Conflict, "{}", error.detail());
    assert!(slowest < Duration::from_secs(15), "{slowest:?}");
    assert_eq!(rows(&app.database, "activities").await, 25, "all is as it was");

    reader.batch_execute("COMMIT").await.expect("an end");
    assert!(app.run_task(TASK).await.expect("done") > 0);
    assert_eq!(rows(&app.database, "activities").await, 20 + app.database.number(KEPT).await);
}
