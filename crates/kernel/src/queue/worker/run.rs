//! Runs single jobs and due rows.

use std::{
    panic::AssertUnwindSafe,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use opentelemetry::trace::Status;
use rand::Rng as _;
use tracing::{Instrument as _, Span};

use super::{Outcome, RunningJob, Worker, span};
use crate::{
    database::Connection,
    error::{Error, Result},
    queue::{
        Kind,
        rows::{self, Rows},
        store::{self as queue, LeasedJob, Retry},
    },
    telemetry::traces,
};

/// The time after which a job of a serial lane yields its slot.
const SLOT_TIME: Duration = Duration::from_secs(1);
/// The delay of a job without a slot.
const NO_SLOT_DELAY: Duration = Duration::from_secs(1);
/// The longest wait that the error of an attempt may ask for.
const MAX_ASKED_WAIT: Duration = Duration::from_secs(60 * 60);

/// Runs a job in a separate task.
pub(super) fn start(worker: &Arc<Worker>, job: LeasedJob) {
    let (id, lease) = (job.id, job.lease);
    let Some(kind) = worker.kinds.get(job.kind.as_str()).copied() else { return };
    let Some(mut slot) = worker.slots.occupy(kind.lane.name) else {
        // The number of taken jobs never exceeds the slots. If it did, the job would not lose an attempt.
        worker.outcomes.lock().push(requeue(&job, NO_SLOT_DELAY, 1, None));
        worker.outcome_added.notify_one();
        return;
    };
    // The lock is held until the entry exists, so that the task finds it.
    let mut leases = worker.leases.lock();
    let owner = worker.clone();
    let span = span::of_job(kind, &job);
    let context = span::context(worker, kind.name, &span, job.traceparent.as_deref());
    let run = async move {
        let outcome = if owner.stop.is_cancelled() {
            requeue(&job, Duration::ZERO, 1, None)
        } else {
            let mut run = pin!(owner.run(kind, job));
            match tokio::time::timeout(SLOT_TIME, &mut run).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    slot.yield_slot();
                    run.await
                }
            }
        };
        owner.finish(id, lease, outcome);
    };
    let task = worker.running.spawn(context.scope(run).instrument(span));
    // After a long silence, this worker may have taken over a job of itself.
    if let Some(old) = leases.insert(id, RunningJob { lease, task: task.abort_handle() }) {
        tracing::warn!(job = id, "a job lost its lease and stops here: its worker was silent for too long");
        old.task.abort();
    }
}

/// Processes a due row in a separate task. The outcome is stored in the row itself, unless the row can't be processed.
pub(super) fn start_row(worker: &Arc<Worker>, rows: &'static Rows, row: rows::DueRow) {
    let Some(slot) = worker.slots.occupy(rows.lane.name) else { return };
    let app = worker.app.clone();
    let rows::DueRow { id, due_at, traceparent } = row;
    let span = span::of_row(rows.name, id, traceparent.as_deref());
    let context = span::context(worker, rows.name, &span, traceparent.as_deref());
    let run = async move {
        let (_slot, since) = (slot, Instant::now());
        let result = catch_panic((rows.run)(app.clone(), id)).await;
        metrics::histogram!("mainstay_job_seconds", "kind" => rows.name).record(since.elapsed());
        match result {
            Ok(()) => {
                count(rows.name, "done");
                tracing::info!(seconds = since.elapsed().as_secs_f64(), "a due row is processed");
            }
            Err(error) => {
                count(rows.name, "failed");
                tracing::warn!(error, "the work on a due row failed and is retried");
                let convert_to_job = async move |connection: &mut Connection| {
                    rows.convert_to_job(connection, (id, due_at), backoff(1), &error).await
                };
                // If this fails too, the row is due again within seconds.
                app.database.autocommit(convert_to_job).await.ok();
            }
        }
    };
    worker.running.spawn(context.scope(run).instrument(span));
}

fn requeue(job: &LeasedJob, wait: Duration, returned_attempts: i32, error: Option<String>) -> Outcome {
    Outcome::Retry(Retry { id: job.id, lease: job.lease, wait, returned_attempts, error })
}

/// Returns the wait after a failed attempt: about 3 s, 7 s, 20 s, 55 s, … up to 6 h, with jitter so that jobs that
/// failed together do not run again together.
fn backoff(attempts: i32) -> Duration {
    let wait = Duration::from_secs_f64(f64::from(attempts.clamp(1, 10)).exp());
    #[expect(clippy::disallowed_methods, reason = "jitter, which nothing depends on")]
    wait.mul_f64(rand::rng().random_range(0.5..1.5))
}

/// Awaits work, and converts a panic to an error.
async fn catch_panic(work: impl Future<Output = Result<()>>) -> std::result::Result<(), String> {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(result) => result.map_err(|error| error.detail()),
        Err(_) => Err("it panicked".to_owned()),
    }
}

impl Worker {
    /// Runs a job. A job without attempts left, whose last worker died, is given up instead.
    async fn run(&self, kind: Kind, job: LeasedJob) -> Outcome {
        let (id, lease, since) = (job.id, job.lease, Instant::now());
        if job.is_replaced {
            return Outcome::Done { id, lease };
        }
        if job.attempts > job.max_attempts {
            return self.give_up(kind, job, None).await;
        }
        let mut asked = Duration::ZERO;
        let run = async {
            let result = (kind.run)(self.app.clone(), job.payload.clone(), self.stop.clone()).await;
            asked = result.as_ref().err().and_then(Error::wait).unwrap_or_default().min(MAX_ASKED_WAIT);
            result
        };
        let result = catch_panic(run).await;
        metrics::histogram!("mainstay_job_seconds", "kind" => kind.name).record(since.elapsed());
        match result {
            Ok(()) => {
                count(kind.name, "done");
                tracing::info!(seconds = since.elapsed().as_secs_f64(), "job completed");
                Outcome::Done { id, lease }
            }
            Err(error) if job.attempts < job.max_attempts => {
                traces::describe(&Span::current(), |exported| exported.set_status(Status::error("")));
                count(kind.name, "failed");
                let wait = backoff(job.attempts).max(asked);
                tracing::warn!(error, wait_seconds = wait.as_secs(), "a job failed and is retried");
                requeue(&job, wait, 0, Some(error))
            }
            Err(error) => {
                count(kind.name, "failed");
                self.give_up(kind, job, Some(error)).await
            }
        }
    }

    /// Settles the resources that wait for a job. A job that was replaced while it ran is left to its replacement.
    async fn give_up(&self, kind: Kind, job: LeasedJob, error: Option<String>) -> Outcome {
        let key = job.key.clone();
        let find = async move |connection: &mut Connection| queue::waits(connection, &key).await;
        let given_up = match self.app.database.autocommit(find).await {
            Ok(true) => return Outcome::Done { id: job.id, lease: job.lease },
            Ok(false) => catch_panic((kind.give_up)(self.app.clone(), job.payload.clone())).await,
            Err(error) => Err(error.detail()),
        };
        if let Err(why) = given_up {
            tracing::warn!(error = why, "a job could not be given up, which is retried");
            // The runs beyond the attempts were calls of `give_up`.
            let wait = backoff(1 + job.attempts - job.max_attempts);
            return requeue(&job, wait, 0, error.or(Some(why)));
        }
        count(kind.name, "dead");
        tracing::error!(error, "a job is dead: it used up its attempts");
        Outcome::Dead { id: job.id, lease: job.lease, error }
    }
}

fn count(kind: &'static str, outcome: &'static str) {
    metrics::counter!("mainstay_jobs_total", "kind" => kind, "outcome" => outcome).increment(1);
}
