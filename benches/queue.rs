//! The job queue: the cost of an enqueue for Postgres, the throughput of one worker with empty jobs, and the latency
//! from a commit to the job's start. `cargo bench --bench queue`; commits are on disk before they are acknowledged.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use mainstay_dev_servers::{Options, Postgres};
use mainstay_kernel::{
    app::App,
    config::Source,
    database::migrations,
    error::{Error, Result},
    id,
    module::Modules,
    queue::{
        self, Handler, Job, Kind, Lane,
        worker::{self, Work},
    },
    unit_of_work,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_postgres::NoTls;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const SLOTS: usize = 16;
const ENQUEUED_ALONE: usize = 5_000;
const JOBS: usize = 50_000;
const STARTS: usize = 500;

/// The number of jobs that ran, and the start of the last one.
#[derive(Debug, Default)]
struct Runs {
    count: AtomicUsize,
    last: Mutex<Option<Instant>>,
    start: Notify,
}

/// A job that does nothing.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Nothing(Uuid);

impl Job for Nothing {
    const NAME: &'static str = "nothing";
    const MAX_ATTEMPTS: i32 = 5;
    const LANE: Lane = Lane::new("nothing", |_| SLOTS);

    fn subject(&self) -> Uuid {
        self.0
    }
}

impl Handler for Nothing {
    async fn run(self, app: &App, _: &CancellationToken) -> Result<()> {
        let runs = app.part::<Arc<Runs>>();
        *runs.last.lock().expect("no panic") = Some(Instant::now());
        runs.count.fetch_add(1, Ordering::Relaxed);
        runs.start.notify_one();
        Ok(())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let postgres = Postgres::start(durable()).await?;
    let app = open(postgres.url()).await?;
    let (sql, connection) = tokio_postgres::connect(postgres.url(), NoTls).await?;
    tokio::spawn(connection);
    sql.batch_execute("CREATE EXTENSION pg_stat_statements").await?;

    println!("| what | value |\n|---|--:|");
    let began = Instant::now();
    for _ in 0..ENQUEUED_ALONE {
        enqueue(&app).await?;
    }
    let rate = ENQUEUED_ALONE as f64 / began.elapsed().as_secs_f64();
    println!("| enqueues per second, one after the other, each a transaction | {rate:.0} |");
    report(&sql, "INSERT INTO jobs%", "enqueue").await?;

    let runs = Arc::<Runs>::default();
    let app = app.with_part(runs.clone());
    sql.batch_execute("TRUNCATE jobs").await?;
    for _ in 0..JOBS / 1000 {
        let jobs: Vec<_> = (0..1000).map(|_| Nothing(id::new(app.clock.now()))).collect();
        let add = async move |work: &mut unit_of_work::Work| queue::enqueue_all(work.connection().await?, &jobs).await;
        app.database.transaction(add).await.map_err(failed)?;
    }
    sql.batch_execute("SELECT pg_stat_statements_reset(); ANALYZE jobs").await?;
    let stop = CancellationToken::new();
    let began = Instant::now();
    let jobs = Vec::leak(vec![Kind::of::<Nothing>()]);
    let work = Work { jobs, ..Modules::of(&app).work() };
    let working = tokio::spawn(worker::run(work, app.clone(), stop.clone()));
    // The worker runs this kind alone, so jobs of scheduled tasks remain. A job is complete once its row is deleted.
    let query = "SELECT EXISTS (SELECT FROM jobs WHERE kind = 'nothing')";
    while runs.count.load(Ordering::Relaxed) < JOBS || sql.query_one(query, &[]).await?.get::<_, bool>(0) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let rate = JOBS as f64 / began.elapsed().as_secs_f64();
    println!("| jobs that do nothing per second, {SLOTS} slots | {rate:.0} |");
    report(&sql, "WITH RECURSIVE lane%", "take, up to 16 jobs").await?;
    report(&sql, "DELETE FROM jobs USING%", "completion of several").await?;

    let mut starts = Vec::new();
    for number in 1..=STARTS {
        tokio::time::sleep(Duration::from_millis(5)).await;
        enqueue(&app).await?;
        let committed = Instant::now();
        while runs.count.load(Ordering::Relaxed) < JOBS + number {
            // Waits for a notification, because polling would take CPU time from the processes that start the job.
            runs.start.notified().await;
        }
        let start = runs.last.lock().expect("no panic").context("it ran")?;
        starts.push(start.saturating_duration_since(committed));
    }
    starts.sort();
    for (name, part) in [("p50", 50), ("p99", 99)] {
        let ms = starts[STARTS * part / 100].as_secs_f64() * 1e3;
        println!("| from commit to start, idle worker, {name} | {ms:.2} ms |");
    }
    stop.cancel();
    working.await?;
    postgres.stop().await;
    Ok(())
}

/// As in production: a commit is on disk before it is acknowledged.
fn durable() -> Options {
    let durable = Options::temporary()
        .set("fsync", "on")
        .set("synchronous_commit", "on")
        .set("full_page_writes", "on")
        .set("max_wal_size", "2GB");
    durable.set("shared_preload_libraries", "pg_stat_statements")
}

/// Opens the product.
async fn open(url: &str) -> anyhow::Result<App> {
    let modules = mainstay::product().modules().map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    let settings = [
        ("SECRET_KEY", "dGhlIGJlbmNoIHNlYWxzIGl0cyBrZXlzIGJ5IHRoaXM="),
        ("SINGLE_INSTANCE", "true"),
        ("FILES_URL", "file:///tmp/mainstay-bench-files"),
        ("DATABASE_URL", url),
    ];
    let config = modules.config(Source::of(settings)).map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    let app = modules.open(config).await?;
    migrations::run(app.database.dedicated().await?, modules.migrations()).await?;
    Ok(app)
}

fn failed(error: Error) -> anyhow::Error {
    anyhow::anyhow!("{}", error.detail())
}

async fn enqueue(app: &App) -> anyhow::Result<()> {
    let job = Nothing(id::new(app.clock.now()));
    let add = async move |work: &mut unit_of_work::Work| queue::enqueue(work.connection().await?, &job).await;
    app.database.transaction(add).await.map_err(failed)
}

/// Prints the time that Postgres spent in a statement.
async fn report(sql: &tokio_postgres::Client, like: &str, what: &str) -> anyhow::Result<()> {
    let query = "SELECT sum(calls)::float8, sum(total_exec_time + total_plan_time) / sum(calls), \
                 sum(rows)::float8 / sum(calls) FROM pg_stat_statements WHERE query LIKE $1";
    let row = sql.query_one(query, &[&like]).await?;
    let (calls, mean, rows): (f64, f64, f64) = (row.get(0), row.get(1), row.get(2));
    println!("| Postgres per {what} ({calls:.0} calls, {rows:.1} rows each) | {mean:.3} ms |");
    Ok(())
}
