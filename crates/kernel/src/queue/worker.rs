//! Runs the [`jobs`](crate::queue), in one loop per lane, and the tasks of the [`schedule`](crate::schedule).

use std::time::Duration;

use chrono::TimeDelta;
use graphile_worker::{
    FailureReason, Job as Queued, JobFail, JobPermanentlyFail, JobRecovery, JobRecoveryResult, LocalQueueConfig,
    RefetchDelayConfig, Worker, WorkerOptions, WorkerRecoveryConfig, WorkerShutdownConfig,
};
use rand::Rng as _;
use secrecy::SecretString;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    queue::{Kind, Lane, registry::JobContext, store as queue},
};

/// The longest that a new job waits for a poll. Polling needs no connection of its own, unlike notifications.
const POLL: Duration = Duration::from_millis(250);
/// Jobs are taken in batches, one per slot, until the queue is empty: a poll that took a single job per slot would do
/// no more work until the next poll. A job that finds no free slot here within this time is returned to the queue,
/// because another worker may have one.
const WAITS_HERE: Duration = Duration::from_secs(2);
/// How long a worker must be silent to be considered dead.
const SILENCE: Duration = Duration::from_secs(10);
/// How long a job that ignores the stop signal may continue after it.
const GRACE: Duration = Duration::from_secs(20);
/// How long jobs may take to be returned to the queue after that.
const HANDING_BACK: Duration = Duration::from_secs(5);

fn url(app: &App) -> anyhow::Result<&SecretString> {
    app.config.database.url.as_ref().ok_or_else(|| anyhow::anyhow!("there is no Postgres to take jobs from"))
}

/// Migrates the tables of the queue. Instances that start together wait for the first one.
///
/// # Errors
/// When Postgres is unavailable or refuses.
pub async fn migrate(app: &App) -> anyhow::Result<()> {
    queue::migrate(app.database.dedicated().await?, url(app)?).await
}

/// Works on jobs and on the schedule until `stop` is cancelled, then drains for at most 25 s: a running import stops at
/// its checkpoint and returns to the queue.
///
/// While Postgres is unavailable it waits.
///
/// # Errors
/// When the configuration names no Postgres.
pub async fn run(app: App, stop: CancellationToken) -> anyhow::Result<()> {
    let too_long = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE + HANDING_BACK).await;
    };
    tokio::select! {
        ended = run_lanes(app, stop.clone()) => ended,
        () = too_long => {
            tracing::warn!("a job was not returned to the queue in time; another worker will recover it");
            Ok(())
        }
    }
}

/// Runs the jobs that are due, and those that they add, until there are no more; for tests, which then see their effect.
///
/// # Errors
/// When Postgres is unavailable.
pub async fn run_due(app: &App) -> anyhow::Result<()> {
    let kinds = app.part::<&[Kind]>();
    let database = queue::database(url(app)?, app.config.jobs.concurrency + 3)?;
    let names: Vec<_> = kinds.iter().map(|kind| kind.name).collect();
    let mut connection = app.database.dedicated().await?;
    while queue::any_due(&mut connection, &names).await.map_err(|error| anyhow::anyhow!("{}", error.detail()))? {
        for lane in lanes(kinds) {
            options(app, lane, &database, &CancellationToken::new()).init().await?.run_once().await?;
        }
    }
    Ok(())
}

async fn run_lanes(app: App, stop: CancellationToken) -> anyhow::Result<()> {
    // No job holds one while it runs; polling, heartbeats and recovery need theirs, for each lane.
    let lanes = lanes(app.part::<&[Kind]>());
    let database = queue::database(url(&app)?, app.config.jobs.concurrency + 3 * lanes.len())?;
    let mut loops = JoinSet::new();
    for lane in lanes {
        loops.spawn(keep(app.clone(), lane, database.clone(), stop.clone()));
    }
    loops.spawn(crate::schedule::keep(app, stop.clone(), GRACE));
    loops.spawn(async move {
        stop.cancelled().await;
        tracing::info!("shutting down: running jobs finish or return to the queue");
    });
    while let Some(ended) = loops.join_next().await {
        ended?;
    }
    Ok(())
}

/// The lanes of all jobs, each once.
fn lanes(kinds: &[Kind]) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = Vec::new();
    for kind in kinds {
        if !lanes.iter().any(|lane| lane.name == kind.lane.name) {
            lanes.push(kind.lane);
        }
    }
    lanes
}

/// Runs the jobs of a lane until `stop` is cancelled, then drains.
async fn keep(app: App, lane: Lane, database: graphile_worker::Database, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let ended = match options(&app, lane, &database, &stop).init().await {
            Ok(worker) => work(worker, &stop).await,
            Err(error) => Err(error.into()),
        };
        if let (Err(error), false) = (ended, stop.is_cancelled()) {
            tracing::warn!(lane = lane.name, error = format!("{error:#}"), "the job worker failed and restarts");
            stop.run_until_cancelled(tokio::time::sleep(Duration::from_secs(1))).await;
        }
    }
}

async fn work(worker: Worker, stop: &CancellationToken) -> anyhow::Result<()> {
    let ended = worker.run().await;
    if !stop.is_cancelled() {
        ended?;
    }
    Ok(())
}

fn options(app: &App, lane: Lane, database: &graphile_worker::Database, stop: &CancellationToken) -> WorkerOptions {
    let recovery = WorkerRecoveryConfig::default()
        .enabled(true)
        .heartbeat_interval(SILENCE / 5)
        .sweep_interval(SILENCE / 2)
        .sweep_threshold(SILENCE);
    let shutdown = WorkerShutdownConfig::default()
        .listen_os_shutdown_signals(false)
        .grace_period(GRACE)
        .shutdown_signal(stop.clone().cancelled_owned());
    let slots = (lane.max_concurrency)(&app.config);
    // Without a delay the local queue polls again at once, even when the queue was empty.
    let delay = RefetchDelayConfig::default().with_duration(POLL).with_threshold(0);
    let local = LocalQueueConfig::default().with_size(slots).with_ttl(WAITS_HERE).with_refetch_delay(delay);
    let (failing, failed, recovering) = (app.clone(), app.clone(), app.clone());
    WorkerOptions::default()
        .database(database.clone())
        .schema(queue::SCHEMA)
        .concurrency(slots)
        .local_queue(local)
        .poll_interval(POLL)
        .use_notification_delivery(false)
        .worker_recovery(recovery)
        .worker_shutdown(shutdown)
        .add_extension(JobContext { app: app.clone(), stop: stop.clone() })
        .define_jobs(
            app.part::<&[Kind]>().iter().filter(|kind| kind.lane.name == lane.name).map(|kind| (kind.definition)()),
        )
        .on(JobFail, move |context| spread(failing.clone(), *context.job.id()))
        .on(JobPermanentlyFail, move |context| give_up(failed.clone(), context.job))
        .on(JobRecovery, move |context| recover(recovering.clone(), context.job, context.reason))
}

/// Spreads retries, so that jobs that failed together do not run again together.
async fn spread(app: App, job: i64) {
    let spread = app.database.autocommit(async move |connection| queue::spread(connection, job).await).await;
    if let Err(error) = spread {
        tracing::warn!(job, error = error.detail(), "the retry of a job could not be rescheduled");
    }
}

/// Counts the attempt of a job whose worker died, because the job may be the cause. (By default the queue does not
/// count it, so a job that kills its worker would run forever.) A worker that was asked to stop is handled by the
/// default.
async fn recover(app: App, job: std::sync::Arc<Queued>, reason: FailureReason) -> JobRecoveryResult {
    if reason != FailureReason::WorkerCrashed {
        return JobRecoveryResult::Default;
    }
    let attempts = *job.attempts();
    if attempts >= *job.max_attempts() {
        give_up(app.clone(), job).await;
    }
    #[expect(clippy::disallowed_methods, reason = "jitter, which nothing depends on")]
    let wait = backoff(attempts).mul_f64(rand::rng().random_range(0.5..1.5));
    let wait = TimeDelta::from_std(wait).unwrap_or(TimeDelta::seconds(1));
    JobRecoveryResult::Reschedule { run_at: app.clock.now() + wait, attempts: Some(attempts) }
}

/// The backoff of the queue after an error: 3 s, 7 s, 20 s, 55 s, …
fn backoff(attempts: i16) -> Duration {
    Duration::from_secs_f64(f64::from(attempts.clamp(0, 10)).exp())
}

/// Ends whatever waits for a job that will not be retried.
async fn give_up(app: App, job: std::sync::Arc<Queued>) {
    // If this fails, a scheduled task does it.
    if let Err(error) = super::registry::give_up(app, &job).await {
        tracing::warn!(job = job.id(), error = error.detail(), "a job could not be given up");
    }
}
