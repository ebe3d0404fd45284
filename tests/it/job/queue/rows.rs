//! Due rows beside jobs, in the slots of one lane.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use mainstay_kernel::{
    app::App,
    clock::Clock,
    database::Connection,
    error::{Error, Result},
    id,
    queue::{
        Handler, Job, Kind, Lane, dead,
        rows::{DueRows, Rows, set_due},
        worker::{self, Work},
    },
};
use serde::{Deserialize, Serialize};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use super::{
    JOBS,
    sample::{self, PlainJob, add, make_due, start},
};
use crate::{
    job::wait_for_count,
    support::{TestDatabase, eventually},
};

/// A lane of one slot, so that turns are observable.
const LANE: Lane = Lane::new("narrow", |_| 1);

/// The number of times that rows of each table were processed.
#[derive(Debug, Default)]
struct Runs([AtomicUsize; 2]);

impl Runs {
    fn of(&self, table: usize) -> usize {
        self.0[table].load(Ordering::SeqCst)
    }
}

/// Rows that are immediately due again.
struct FirstTable;
struct SecondTable;

impl DueRows for FirstTable {
    const NAME: &'static str = "first_rows";
    const TABLE: &'static str = "first_rows";
    const LANE: Lane = LANE;

    async fn run(app: &App, id: Uuid) -> Result<()> {
        set_due_again::<Self>(app, 0, id).await
    }
}

impl DueRows for SecondTable {
    const NAME: &'static str = "second_rows";
    const TABLE: &'static str = "second_rows";
    const LANE: Lane = LANE;

    async fn run(app: &App, id: Uuid) -> Result<()> {
        set_due_again::<Self>(app, 1, id).await
    }
}

async fn set_due_again<D: DueRows>(app: &App, table: usize, id: Uuid) -> Result<()> {
    app.part::<Arc<Runs>>().0[table].fetch_add(1, Ordering::SeqCst);
    // Longer than a poll.
    tokio::time::sleep(Duration::from_millis(10)).await;
    let again = async move |connection: &mut Connection| set_due::<D>(connection, id, None).await;
    app.database.autocommit(again).await
}

/// A job in the lane of the rows.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct JobBesideRows {
    subject: Uuid,
}

impl Job for JobBesideRows {
    const NAME: &'static str = "beside_rows";
    const MAX_ATTEMPTS: i32 = 2;
    const LANE: Lane = LANE;

    fn subject(&self) -> Uuid {
        self.subject
    }
}

impl Handler for JobBesideRows {
    async fn run(self, _: &App, _: &CancellationToken) -> Result<()> {
        Ok(())
    }
}

fn work_on(app: &App, jobs: &'static [Kind], rows: &'static [Rows]) -> DropGuard {
    let (stop, work) = (CancellationToken::new(), Work { jobs, rows, ..sample::jobs() });
    tokio::spawn(worker::run(work, app.clone(), stop.clone()));
    stop.drop_guard()
}

fn work_on_endless_rows(app: &App) -> DropGuard {
    // The lane of the other kind has free slots, for which the worker polls continuously.
    static KINDS: LazyLock<[Kind; 2]> = LazyLock::new(|| [Kind::of::<JobBesideRows>(), Kind::of::<PlainJob>()]);
    static ROWS: LazyLock<[Rows; 2]> = LazyLock::new(|| [Rows::of::<FirstTable>(), Rows::of::<SecondTable>()]);
    work_on(app, &*KINDS, &*ROWS)
}

async fn create(database: &TestDatabase, table: &str, rows: usize) {
    let create = format!(
        "CREATE TABLE {table} (id uuid PRIMARY KEY, due_at timestamptz, traceparent text);
         INSERT INTO {table} SELECT gen_random_uuid(), now() FROM generate_series(1, {rows})"
    );
    database.sql(&create).await;
}

/// An app with more rows in each table than the lane has slots.
async fn start_with_endless_rows() -> (Arc<TestDatabase>, Arc<Runs>, App) {
    let (database, _state, app) = start().await;
    for table in [FirstTable::TABLE, SecondTable::TABLE] {
        create(&database, table, 4).await;
    }
    let runs = Arc::<Runs>::default();
    let app = app.with_part(runs.clone());
    (database, runs, app)
}

/// Fairness: jobs do not wait until no row is due, nor rows until there is no job.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_and_rows_that_never_end_share_their_lane() {
    const COUNT: usize = 50;
    let (database, runs, app) = start_with_endless_rows().await;
    for _ in 0..COUNT {
        add(&app, JobBesideRows { subject: id::new(Clock::default().now()) }).await;
    }
    let _worker = work_on_endless_rows(&app);
    wait_for_count(&database, JOBS, 0).await;
    let (first, second) = (runs.of(0), runs.of(1));
    assert!(first > COUNT / 2 && second > COUNT / 2, "{first} and {second} beside {COUNT} jobs");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_whose_rows_never_end_share_their_lane() {
    let (_database, runs, app) = start_with_endless_rows().await;
    let _worker = work_on_endless_rows(&app);
    eventually("both are worked on", async || runs.of(0) > 20 && runs.of(1) > 20).await;
}

/// Rows whose processing fails.
struct FailingRows;

#[derive(Debug, Default)]
struct Failing {
    runs: AtomicUsize,
    /// Whether the processing fails only after it has postponed the row.
    puts_off: AtomicBool,
    is_cured: AtomicBool,
}

impl DueRows for FailingRows {
    const NAME: &'static str = "failing_rows";
    const TABLE: &'static str = "failing_rows";
    const LANE: Lane = LANE;

    async fn run(app: &App, id: Uuid) -> Result<()> {
        let failing = app.part::<Arc<Failing>>();
        failing.runs.fetch_add(1, Ordering::SeqCst);
        let is_cured = failing.is_cured.load(Ordering::SeqCst);
        if is_cured || failing.puts_off.load(Ordering::SeqCst) {
            let later = app.clock.now() + chrono::TimeDelta::hours(10);
            let put_off = async move |connection: &mut Connection| set_due::<Self>(connection, id, Some(later)).await;
            app.database.autocommit(put_off).await?;
        }
        if is_cured { Ok(()) } else { Err(Error::internal(anyhow::anyhow!("as the test wants"))) }
    }
}

async fn start_with_failing_rows(rows: usize) -> (Arc<TestDatabase>, Arc<Failing>, App) {
    let (database, _state, app) = start().await;
    create(&database, FailingRows::TABLE, rows).await;
    let failing = Arc::<Failing>::default();
    let app = app.with_part(failing.clone());
    (database, failing, app)
}

fn work_on_failing_rows(app: &App) -> DropGuard {
    static ROWS: LazyLock<[Rows; 1]> = LazyLock::new(|| [Rows::of::<FailingRows>()]);
    work_on(app, &[], &*ROWS)
}

const PUT_OFF_BY_ITS_WORK: &str = "SELECT count(*) FROM failing_rows WHERE due_at > now() + interval '9 hours'";

/// The attempts are counted, with backoff, and the row finally becomes a dead job for an operator.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cant_be_worked_on_ends_as_a_dead_job() {
    let (database, failing, app) = start_with_failing_rows(1).await;
    let _worker = work_on_failing_rows(&app);
    let failed = "SELECT count(*) FROM jobs WHERE kind = 'failing_rows' AND attempts = 1 AND lease IS NULL \
                  AND last_error LIKE '%as the test wants' AND due_at > now()";
    wait_for_count(&database, failed, 1).await;
    let put_off = "SELECT count(*) FROM failing_rows WHERE due_at > now() + interval '30 minutes'";
    assert_eq!(database.number(put_off).await, 1);
    eventually("it is dead", async || {
        make_due(&database).await;
        database.number("SELECT count(*) FROM jobs WHERE dead_at IS NOT NULL AND attempts = 8").await == 1
    })
    .await;
    assert_eq!(failing.runs.load(Ordering::SeqCst), 8);
    // The row is processed occasionally, and creates no second dead job.
    database.sql("UPDATE failing_rows SET due_at = now()").await;
    wait_for_count(&database, put_off, 1).await;
    assert_eq!((failing.runs.load(Ordering::SeqCst), database.number(JOBS).await), (9, 1));

    failing.is_cured.store(true, Ordering::SeqCst);
    let redrive = async |connection: &mut Connection| dead::redrive(connection, &[], Some("failing_rows"), 10).await;
    assert_eq!(app.database.autocommit(redrive).await.expect("redriven"), 1);
    wait_for_count(&database, JOBS, 0).await;
    assert_eq!((failing.runs.load(Ordering::SeqCst), database.number(PUT_OFF_BY_ITS_WORK).await), (10, 1));
}

/// The module decides how long it retries such a row.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_its_work_has_put_off_becomes_no_job() {
    let (database, failing, app) = start_with_failing_rows(3).await;
    failing.puts_off.store(true, Ordering::SeqCst);
    let _worker = work_on_failing_rows(&app);
    // Sequentially, so that the first two have ended by then.
    wait_for_count(&database, PUT_OFF_BY_ITS_WORK, 3).await;
    assert_eq!((failing.runs.load(Ordering::SeqCst), database.number(JOBS).await), (3, 0));
}
