//! Scheduled tasks: the registry, and the loop that runs them.
//!
//! Every worker checks all tasks. A row in Postgres records the last run of a task, and the worker that advances the
//! row runs the task. A task therefore runs once per period, regardless of the number of workers. Periods without a
//! worker are made up for by a single run. The duration of a run is limited. When a worker dies, its task starts again
//! after its lease has expired. The clock of Postgres decides which tasks are due, because the clocks of the workers'
//! hosts may differ.
//!
//! A task is not a job. It needs no slot, so that it never waits behind the jobs that it may exist to help. Its row is
//! permanent, so that an operator sees the last success.

mod batched_deletion;
pub mod model;
pub mod store;

pub use batched_deletion::{BATCH, in_batches};

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::{task::JoinSet, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{
    Instrument as _, Span,
    field::{Empty, display},
    info_span,
};

use crate::{
    app::App,
    context::{Context, Origin},
    database::Connection,
    error::{Error, Result},
    fault, id,
    queue::outage::Outage,
    telemetry::traces,
};

/// One minute.
pub const MINUTE: Duration = Duration::from_secs(60);
/// One hour.
pub const HOUR: Duration = Duration::from_secs(60 * 60);

type Run = Arc<dyn Fn(App) -> BoxFuture<'static, Result<usize>> + Send + Sync>;

/// A scheduled task. It is idempotent, independent of other tasks, and returns the number of processed items.
#[derive(Clone)]
pub struct Task {
    /// The name, for operators.
    pub name: &'static str,
    /// The period.
    pub every: Duration,
    /// The description.
    pub what: &'static str,
    run: Run,
}

debug_fields!(Task: name, every);

impl Task {
    /// Creates a task.
    pub fn new<F>(
        name: &'static str,
        every: Duration,
        what: &'static str,
        run: impl Fn(App) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<usize>> + Send + 'static,
    {
        Self { name, every, what, run: Arc::new(move |app| run(app).boxed()) }
    }
}

const TICK: Duration = Duration::from_secs(1);
/// The most tasks that one worker runs concurrently. Each may hold a connection.
const MAX_CONCURRENT: usize = 2;
/// The time limit of a run, which is well below [`crate::schedule::model::LEASE`].
const MAX_RUN_TIME: Duration = Duration::from_secs(60);

/// Runs due tasks until `stop` is cancelled. Running tasks then have `grace` to finish.
pub(crate) async fn run_loop(
    app: App,
    tasks: &'static [Task],
    outage: Outage,
    stop: CancellationToken,
    grace: Duration,
) {
    for task in tasks {
        // An alert compares the age of the last success with this gauge.
        metrics::gauge!("mainstay_scheduled_task_period_seconds", "task" => task.name).set(task.every.as_secs_f64());
    }
    let mut running = JoinSet::new();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = running.join_next() => {}
            _ = tick.tick() => {}
        }
        let mut claims = Vec::new();
        let outcome = claim_due(&app, tasks, MAX_CONCURRENT - running.len(), &mut claims).await;
        // Claimed tasks run even after an error, because no other worker runs them before the lease has expired.
        for (task, at) in claims {
            drop(running.spawn(run(app.clone(), task, at)));
        }
        if let Err(error) = outcome {
            let wait = outage.record_failure("the schedule can't be read", &error);
            stop.run_until_cancelled(tokio::time::sleep(wait)).await;
        }
    }
    let end = tokio::time::timeout(grace, async { while running.join_next().await.is_some() {} });
    if end.await.is_err() {
        tracing::warn!("a scheduled task did not end in time; another worker will run it again");
    }
}

/// Claims due tasks, the longest waiting first, up to `room`. After an error, `claims` contains those claimed before.
async fn claim_due(app: &App, tasks: &[Task], room: usize, claims: &mut Vec<(Task, DateTime<Utc>)>) -> Result<()> {
    fault::point("schedule.due")?;
    let (mut runs, now) = app.database.autocommit(async |connection| store::last_runs(connection).await).await?;
    if !runs.is_empty() {
        let ahead = app.clock.now() - now;
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of an era are exact")]
        let ahead_seconds = ahead.num_milliseconds() as f64 / 1000.0;
        metrics::gauge!("mainstay_clock_offset_seconds").set(ahead_seconds);
    }
    if tasks.iter().any(|task| !runs.contains_key(task.name)) {
        let names: Vec<_> = tasks.iter().map(|task| task.name).collect();
        app.database.autocommit(async move |connection| store::register(connection, &names).await).await?;
    }
    let mut due = Vec::new();
    for task in tasks {
        let last = runs.remove(task.name).unwrap_or_default();
        if let Some(succeeded_at) = last.succeeded_at {
            let gauge = metrics::gauge!("mainstay_scheduled_task_last_success_timestamp_seconds", "task" => task.name);
            #[expect(clippy::cast_precision_loss, reason = "seconds of this era are exact")]
            gauge.set(succeeded_at.timestamp() as f64);
        }
        if last.is_due(TimeDelta::from_std(task.every).unwrap_or(TimeDelta::MAX), now) {
            due.push((last.started_at, task));
        }
    }
    due.sort_by_key(|(started_at, _)| *started_at);
    for (started_at, task) in due {
        if claims.len() == room {
            break;
        }
        let name = task.name;
        let claim = app.database.autocommit(async move |connection| store::claim(connection, name, started_at).await);
        claims.extend(claim.await?.map(|at| (task.clone(), at)));
    }
    Ok(())
}

async fn run(app: App, task: Task, started_at: DateTime<Utc>) {
    let (span, context) = open_span(&app, task.name);
    context.scope(run_within(app, task, started_at)).instrument(span).await;
}

/// Opens the span and the context of a run. The run has its own trace, because no request caused it, and an id.
fn open_span(app: &App, task: &'static str) -> (Span, Context) {
    let span = info_span!(parent: None, "task", task, id = Empty, trace_id = Empty);
    traces::describe(&span, |exported| exported.update_name(format!("task {task}")));
    let id = id::new(app.clock.now()).to_string();
    span.record("id", display(&id));
    if let Some(trace) = traces::trace_id(&span) {
        span.record("trace_id", display(trace));
    }
    (span, Context::new(id).with_alerts(&app.alerts).with_origin(Origin::system(format!("task {task}"))))
}

async fn run_within(app: App, task: Task, started_at: DateTime<Utc>) {
    let outcome = tokio::time::timeout(MAX_RUN_TIME, AssertUnwindSafe((task.run)(app.clone())).catch_unwind()).await;
    let error = match outcome {
        Ok(Ok(Ok(count))) => {
            tracing::debug!(task = task.name, count, "a scheduled task ran");
            None
        }
        Ok(Ok(Err(error))) => Some(error.detail()),
        Ok(Err(_)) => Some("it panicked".to_owned()),
        Err(_) => Some(format!("it took longer than {} s", MAX_RUN_TIME.as_secs())),
    };
    if let Some(error) = &error {
        metrics::counter!("mainstay_scheduled_task_failures_total", "task" => task.name).increment(1);
        tracing::error!(task = task.name, error, "a scheduled task failed");
    }
    let record = app
        .database
        .autocommit(async move |connection| store::finish(connection, task.name, started_at, error.as_deref()).await);
    if let Err(error) = record.await {
        tracing::warn!(task = task.name, error = error.detail(), "the outcome of a scheduled task could not be stored");
    }
}

/// Returns whether no task has run yet: no server or worker has worked on the database.
pub async fn is_unused(app: &App) -> Result<bool> {
    let (runs, _) = app.database.autocommit(async |connection| store::last_runs(connection).await).await?;
    Ok(runs.values().all(|run| run.started_at.is_none()))
}

/// Records that the database is in use, as [`is_unused`] returns from now on. `by` names what uses it, in place of a task.
pub async fn record_use(app: &App, by: &'static str) -> Result<()> {
    let record = async move |connection: &mut Connection| {
        store::register(connection, &[by]).await?;
        store::claim(connection, by, None).await.map(drop)
    };
    app.database.autocommit(record).await
}

/// Runs a task now, regardless of its last run. Returns the number of processed items.
///
/// # Errors
/// The error of the task; `NOT_FOUND` for an unknown name.
pub async fn run_now(app: &App, tasks: &[Task], name: &str) -> Result<usize> {
    let task = tasks.iter().find(|task| task.name == name).ok_or_else(|| Error::not_found("task"))?;
    (task.run)(app.clone()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_outlives_every_run() {
        let lease = crate::schedule::model::LEASE.to_std().expect("a length of time");
        assert!(lease >= MAX_RUN_TIME + Duration::from_secs(10), "to claim a task takes a little");
    }
}
