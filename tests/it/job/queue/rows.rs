//! Due rows beside jobs, in the slots of one lane.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use mainstay_kernel::{
    app::App,
    clock::Clock,
    database::Connection,
    error::Result,
    id,
    queue::{
        Handler, Job, Kind, Lane,
        rows::{DueRows, Rows, set_due},
        worker::{self, Work},
    },
};
use serde::{Deserialize, Serialize};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use super::{
    JOBS,
    sample::{self, PlainJob, add, start},
};
use crate::{
    job::wait_for_count,
    support::{TestDatabase, eventually},
};

/// Of one slot, so that nobody gets one beside those whose turn it is.
const LANE: Lane = Lane::new("narrow", |_| 1);

/// How often rows of each table were worked on.
#[derive(Debug, Default)]
struct Runs([AtomicUsize; 2]);

impl Runs {
    fn of(&self, table: usize) -> usize {
        self.0[table].load(Ordering::SeqCst)
    }
}

/// Rows that are due again at once.
struct FirstTable;
struct SecondTable;

impl DueRows for FirstTable {
    const NAME: &'static str = "first_rows";
    const TABLE: &'static str = "first_rows";
    const LANE: Lane = LANE;

    async fn run(app: &App, id: Uuid) -> Result<()> {
        work_on::<Self>(app, 0, id).await
    }
}

impl DueRows for SecondTable {
    const NAME: &'static str = "second_rows";
    const TABLE: &'static str = "second_rows";
    const LANE: Lane = LANE;

    async fn run(app: &App, id: Uuid) -> Result<()> {
        work_on::<Self>(app, 1, id).await
    }
}

async fn work_on<D: DueRows>(app: &App, table: usize, id: Uuid) -> Result<()> {
    app.part::<Arc<Runs>>().0[table].fetch_add(1, Ordering::SeqCst);
    // Longer than to look for more.
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

fn work_on_rows(app: &App) -> DropGuard {
    // The lane of the other kind has free slots, for which the worker looks all the time.
    static KINDS: LazyLock<[Kind; 2]> = LazyLock::new(|| [Kind::of::<JobBesideRows>(), Kind::of::<PlainJob>()]);
    static ROWS: LazyLock<[Rows; 2]> = LazyLock::new(|| [Rows::of::<FirstTable>(), Rows::of::<SecondTable>()]);
    let (stop, work) = (CancellationToken::new(), Work { jobs: &*KINDS, rows: &*ROWS, ..sample::jobs() });
    tokio::spawn(worker::run(work, app.clone(), stop.clone()));
    stop.drop_guard()
}

/// An app with more rows in each table than the lane has slots.
async fn start_with_rows() -> (Arc<TestDatabase>, Arc<Runs>, App) {
    let (database, _state, app) = start().await;
    for table in ["first_rows", "second_rows"] {
        let create = format!(
            "CREATE TABLE {table} (id uuid PRIMARY KEY, due_at timestamptz, traceparent text);
             INSERT INTO {table} SELECT gen_random_uuid(), now() FROM generate_series(1, 4)"
        );
        database.sql(&create).await;
    }
    let runs = Arc::<Runs>::default();
    let app = app.with_part(runs.clone());
    (database, runs, app)
}

/// Neither do jobs wait until no row is due, nor rows until there is no job.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_and_rows_that_never_end_share_their_lane() {
    const COUNT: usize = 50;
    let (database, runs, app) = start_with_rows().await;
    for _ in 0..COUNT {
        add(&app, JobBesideRows { subject: id::new(Clock::default().now()) }).await;
    }
    let _worker = work_on_rows(&app);
    wait_for_count(&database, JOBS, 0).await;
    let (first, second) = (runs.of(0), runs.of(1));
    assert!(first > COUNT / 2 && second > COUNT / 2, "{first} and {second} beside {COUNT} jobs");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_whose_rows_never_end_share_their_lane() {
    let (_database, runs, app) = start_with_rows().await;
    let _worker = work_on_rows(&app);
    eventually("both are worked on", async || runs.of(0) > 20 && runs.of(1) > 20).await;
}
