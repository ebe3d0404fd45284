//! Works on the [`jobs`](crate::jobs), in one loop for each lane, and on the [`schedule`] beside them.

mod handlers;
mod registry;
pub mod schedule;
mod tasks;

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::FutureExt as _;
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
    error::Result,
    jobs::{Job, Lane, text},
    store::queue,
};

/// A new job waits this long at most. Polled rather than notified: a notification needs a connection of its own.
const POLL: Duration = Duration::from_millis(250);
/// Jobs are taken by the batch, as many as there are places, until there are none: a poll that takes one for each place
/// would do no more than that until the next one. A job that finds no place here in this time is given back, for others
/// may have one.
const WAITS_HERE: Duration = Duration::from_secs(2);
/// A worker is thought dead when it was silent for so long.
const SILENCE: Duration = Duration::from_secs(10);
/// How long a job that does not look at the stop may go on after it.
const GRACE: Duration = Duration::from_secs(20);
/// How long jobs may take to be returned to the queue after that.
const HANDING_BACK: Duration = Duration::from_secs(5);

/// What is done with a job.
trait Handler: Job {
    /// Does it. It may have been done before, in part or as a whole. Once `stop` is cancelled there is little time left.
    ///
    /// # Errors
    /// What kept it from being done; it is tried again. `NOT_FOUND` counts as done: what it was for is gone.
    fn run(self, app: &App, stop: &CancellationToken) -> impl Future<Output = Result<()>> + Send;

    /// Ends what waits for the job, once it is sure that it is not tried again. Done as often as it takes, so what is
    /// ended already stays as it is.
    ///
    /// # Errors
    /// What kept it from being ended; a scheduled task then does it.
    fn give_up(self, _app: &App) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}

/// What a job works with.
#[derive(Debug, Clone)]
struct JobContext {
    app: App,
    stop: CancellationToken,
}

fn url(app: &App) -> anyhow::Result<&SecretString> {
    app.config.database.url.as_ref().ok_or_else(|| anyhow::anyhow!("there is no Postgres to take jobs from"))
}

/// Brings the queue's tables up to date. Instances that start together wait for the first one.
///
/// # Errors
/// When Postgres is away or refuses.
pub async fn migrate(app: &App) -> anyhow::Result<()> {
    queue::migrate(app.database.dedicated().await?, url(app)?).await
}

/// Works on jobs and on the schedule until `stop` is cancelled, then drains for at most 25 s: a running import stops at
/// its checkpoint and returns to the queue.
///
/// While Postgres is away it waits for it.
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

async fn run_lanes(app: App, stop: CancellationToken) -> anyhow::Result<()> {
    // No job holds one while it runs; polling, heartbeats and recovery need theirs, for each lane.
    let database = queue::database(url(&app)?, app.config.jobs.concurrency + 3 * Lane::ALL.len())?;
    let mut loops = JoinSet::new();
    for lane in Lane::ALL {
        loops.spawn(keep(app.clone(), lane, database.clone(), stop.clone()));
    }
    loops.spawn(schedule::keep(app, stop.clone(), GRACE));
    loops.spawn(async move {
        stop.cancelled().await;
        tracing::info!("stopping: jobs in hand finish or are handed back");
    });
    while let Some(ended) = loops.join_next().await {
        ended?;
    }
    Ok(())
}

/// Works on the jobs of a lane until `stop` is cancelled, then drains.
async fn keep(app: App, lane: Lane, database: graphile_worker::Database, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let ended = match options(&app, lane, &database, &stop).init().await {
            Ok(worker) => work(worker, &stop).await,
            Err(error) => Err(error.into()),
        };
        if let (Err(error), false) = (ended, stop.is_cancelled()) {
            tracing::warn!(?lane, error = format!("{error:#}"), "the job worker lost its footing and begins anew");
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
    let places = lane.places(&app.config);
    // Without a delay the local queue asks again at once, also when there was nothing.
    let delay = RefetchDelayConfig::default().with_duration(POLL).with_threshold(0);
    let local = LocalQueueConfig::default().with_size(places).with_ttl(WAITS_HERE).with_refetch_delay(delay);
    let (failing, failed, recovering) = (app.clone(), app.clone(), app.clone());
    WorkerOptions::default()
        .database(database.clone())
        .schema(queue::SCHEMA)
        .concurrency(places)
        .local_queue(local)
        .poll_interval(POLL)
        .use_notification_delivery(false)
        .worker_recovery(recovery)
        .worker_shutdown(shutdown)
        .add_extension(JobContext { app: app.clone(), stop: stop.clone() })
        .define_jobs(registry::all().iter().filter(|kind| kind.lane == lane).map(|kind| (kind.definition)()))
        .on(JobFail, move |context| spread(failing.clone(), *context.job.id()))
        .on(JobPermanentlyFail, move |context| give_up(failed.clone(), context.job))
        .on(JobRecovery, move |context| recover(recovering.clone(), context.job, context.reason))
}

/// Jobs that failed together must not come back together.
async fn spread(app: App, job: i64) {
    let spread = app.database.read(move |connection| queue::spread(connection, job).boxed()).await;
    if let Err(error) = spread {
        tracing::warn!(job, error = text(&error), "a job's next try could not be moved");
    }
}

/// What a job's worker died of may be the job: the attempt stays counted. (The queue's default takes it back, so a job
/// that kills its worker would run for ever.) A worker that was told to stop is another matter.
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

/// As the queue does after an error: 3 s, 7 s, 20 s, 55 s, …
fn backoff(attempts: i16) -> Duration {
    Duration::from_secs_f64(f64::from(attempts.clamp(0, 10)).exp())
}

/// A job that will not be tried again leaves nothing waiting for it.
async fn give_up(app: App, job: std::sync::Arc<Queued>) {
    // A task of the schedule ends it, should this fail.
    if let Err(error) = registry::give_up(app, &job).await {
        tracing::warn!(job = job.id(), error = text(&error), "a job could not be given up");
    }
}
