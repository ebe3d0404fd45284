//! The worker, which runs [`jobs`](crate::queue) and the tasks of the [`schedule`](crate::schedule).
//!
//! One loop takes due jobs for all lanes, up to their free slots, and each job runs in a separate task. Another loop
//! records outcomes in batches, and renews the leases of running jobs. A loop that panics is restarted and raises an
//! alert; running jobs are not affected.

mod bookkeeping;
mod depth;
mod round_robin;
mod run;
mod slots;
mod span;
mod supervise;
mod take;

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::{sync::Notify, task::AbortHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    app::App,
    error::{Error, Result},
    partitions::PartitionedTable,
    queue::{
        Kind,
        outage::Outage,
        rows::Rows,
        store::{self as queue, Retry},
    },
    schedule::{self, Task},
};

use round_robin::RoundRobin;
use slots::Slots;
use supervise::supervise;

/// The lease duration: a worker that is silent for longer is considered dead.
const LEASE: Duration = Duration::from_secs(10);
/// The time for which a job that ignores the stop signal may continue.
const MAX_GRACE: Duration = Duration::from_secs(20);
/// The time in which the outcomes of the last jobs must then be recorded.
const RECORD_TIMEOUT: Duration = Duration::from_secs(5);

/// Sets gauges whose values come from Postgres.
pub type Measure = fn(App) -> BoxFuture<'static, Result<()>>;

/// The work of a worker: the jobs, due rows, scheduled tasks and measurements of all modules, as
/// [`Modules::work`](crate::module::Modules::work) returns them.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    /// The kinds of jobs.
    pub jobs: &'static [Kind],
    /// The tables with due rows.
    pub rows: &'static [Rows],
    /// The scheduled tasks.
    pub tasks: &'static [Task],
    /// The monthly partitioned tables, which are measured.
    pub partitioned: &'static [PartitionedTable],
    /// Further measurements.
    pub measures: &'static [Measure],
}

impl Work {
    /// The kinds of jobs, including those that due rows become.
    fn kinds(self) -> impl Iterator<Item = Kind> {
        self.jobs.iter().copied().chain(self.rows.iter().map(|rows| rows.kind))
    }
}

/// Runs jobs and scheduled tasks until `stop` is cancelled, then drains for at most 25 s. A running import stops at its
/// checkpoint and returns to the queue. Jobs that still run after `DRAIN_TIMEOUT`, and at most after 20 s, are aborted and
/// returned for another worker.
///
/// While Postgres is unavailable, the worker waits.
pub async fn run(work: Work, app: App, stop: CancellationToken) {
    let worker = Arc::new(Worker::new(work, app.clone(), stop.clone()));
    let (drained, grace) = (CancellationToken::new(), app.config.server.drain.min(MAX_GRACE));
    let schedule = {
        let (app, outage, stop) = (app.clone(), worker.outage.clone(), stop.clone());
        supervise("schedule", app.alerts.clone(), stop.clone(), move || {
            schedule::run_loop(app.clone(), work.tasks, outage.clone(), stop.clone(), grace)
        })
    };
    let schedule = tokio::spawn(schedule);
    let alerts = || app.alerts.clone();
    let of = |worker: &Arc<Worker>| worker.clone();
    let (one, other) = (of(&worker), of(&worker));
    let taking = tokio::spawn(supervise("take", alerts(), stop.clone(), move || take::run_loop(one.clone())));
    let depth = tokio::spawn(supervise("depth", alerts(), stop.clone(), move || depth::run_loop(other.clone())));
    let (one, until) = (of(&worker), drained.clone());
    let run = move || bookkeeping::run_loop(one.clone(), until.clone());
    let bookkeeping = supervise("bookkeeping", alerts(), drained.clone(), run);
    let bookkeeping = tokio::spawn(bookkeeping);

    stop.cancelled().await;
    tracing::info!("shutting down: running jobs finish or return to the queue");
    let draining = async {
        taking.await.ok();
        worker.running.close();
        // A scheduled task has the same time as a job.
        tokio::join!(worker.running.wait(), async { schedule.await.ok() });
    };
    if tokio::time::timeout(grace, draining).await.is_err() {
        worker.return_all_jobs();
    }
    drained.cancel();
    let last_outcomes = async {
        for task in [bookkeeping, depth] {
            task.await.ok();
        }
    };
    if tokio::time::timeout(RECORD_TIMEOUT, last_outcomes).await.is_err() {
        tracing::warn!("a job was not returned to the queue in time; another worker takes it over when its lease ends");
    }
}

/// Runs the due jobs, and the jobs that they add, until none is due. It serves tests, which then observe the effect.
///
/// # Errors
/// If Postgres is unavailable.
pub async fn run_due(work: Work, app: &App) -> anyhow::Result<()> {
    let failed = |error: Error| anyhow::anyhow!("{}", error.detail());
    let worker = Arc::new(Worker::new(work, app.clone(), CancellationToken::new()));
    loop {
        let some = worker.take_due().await.map_err(failed)?;
        worker.running.close();
        worker.running.wait().await;
        worker.running.reopen();
        worker.record_outcomes().await.map_err(failed)?;
        if !some {
            return Ok(());
        }
    }
}

/// The shared state of a worker's loops.
struct Worker {
    app: App,
    work: Work,
    stop: CancellationToken,
    kinds: HashMap<&'static str, Kind>,
    /// Tables with due rows that were found and not yet taken.
    due_rows: Mutex<Vec<&'static Rows>>,
    round_robin: RoundRobin,
    /// The statement that takes jobs and finds due rows.
    take: String,
    slots: Slots,
    running: TaskTracker,
    leases: Mutex<HashMap<i64, RunningJob>>,
    outcomes: Mutex<Vec<Outcome>>,
    outcome_added: Notify,
    outage: Outage,
}

struct RunningJob {
    lease: Uuid,
    task: AbortHandle,
}

#[derive(Debug)]
enum Outcome {
    Done { id: i64, lease: Uuid },
    Retry(Retry),
    Dead { id: i64, lease: Uuid, error: Option<String> },
}

impl Worker {
    fn new(work: Work, app: App, stop: CancellationToken) -> Self {
        let slots = Slots::new(work.kinds().map(|kind| kind.lane), &app.config);
        let kinds = work.kinds().filter_map(|kind| Some((kind.name, slots.number(kind.lane.name)?)));
        let take = queue::statement(slots.count(), kinds, work.rows.iter().map(|rows| rows.due.as_str()));
        Self {
            slots,
            due_rows: Mutex::default(),
            round_robin: RoundRobin::default(),
            take,
            kinds: work.kinds().map(|kind| (kind.name, kind)).collect(),
            app,
            work,
            stop,
            running: TaskTracker::new(),
            leases: Mutex::default(),
            outcomes: Mutex::default(),
            outcome_added: Notify::new(),
            outage: Outage::default(),
        }
    }

    /// Records the outcome of a run, unless the job was handed back or lost its lease meanwhile.
    fn finish(&self, id: i64, lease: Uuid, outcome: Outcome) {
        let mut leases = self.leases.lock();
        if leases.get(&id).is_some_and(|running| running.lease == lease) {
            leases.remove(&id);
            self.outcomes.lock().push(outcome);
            self.outcome_added.notify_one();
        }
    }

    /// Aborts all running jobs, and returns them to the queue without counting their attempt.
    fn return_all_jobs(&self) {
        let (mut leases, mut outcomes) = (self.leases.lock(), self.outcomes.lock());
        for (id, RunningJob { lease, task }) in leases.drain() {
            task.abort();
            tracing::warn!(job = id, "a job did not end in time and returns to the queue");
            outcomes.push(Outcome::Retry(Retry { id, lease, wait: Duration::ZERO, returned_attempts: 1, error: None }));
        }
    }
}
