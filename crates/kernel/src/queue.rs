//! Background jobs: the content of the queue. The [`worker`](crate::queue::worker) runs them.
//!
//! A job is a row that commits with its cause ([`enqueue`] runs in the caller's transaction), so neither exists without
//! the other. A job runs at least once, so its work must be idempotent. Payloads hold ids, never secrets: the queue
//! logs them.
//!
//! Jobs that take long, or wait for a server chosen by someone else, have slots of their own (a [`Lane`]), so that a
//! dozen receivers that hang delay nothing but webhooks. Jobs for the same receiver run serially ([`Job::serial_key`]),
//! so that one receiver that hangs delays no other.
//!
//! A worker that dies is detected by its missing heartbeat. Its jobs return to the queue with the attempt counted, so a
//! job that kills its worker ends after [`Job::MAX_ATTEMPTS`], like one that fails. Work that is due by time rather
//! than by a cause is not a job but a task of the [`schedule`](crate::schedule).

mod registry;
pub mod store;
pub mod worker;

pub use registry::Kind;

use chrono::{DateTime, Utc};
use serde::{Serialize, de::DeserializeOwned};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    app::App,
    config::Config,
    database::Connection,
    error::{Error, Reason, Result},
    queue::store as queue,
};

/// A group of slots that jobs use while they run. Lanes of the same name are one lane.
#[derive(Debug, Clone, Copy)]
pub struct Lane {
    /// The name, for logs and metrics.
    pub name: &'static str,
    /// The number of jobs of this lane that one worker runs concurrently.
    pub max_concurrency: fn(&Config) -> usize,
}

impl Lane {
    /// The slots shared by all jobs that name no other lane.
    pub const SHARED: Self = Self::new("shared", |config| config.jobs.concurrency);

    /// Makes a lane.
    pub const fn new(name: &'static str, max_concurrency: fn(&Config) -> usize) -> Self {
        Self { name, max_concurrency }
    }
}

/// A job of the queue.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The name of the job in the queue, and the prefix of its keys.
    const NAME: &'static str;
    /// The maximum number of attempts.
    const MAX_ATTEMPTS: i32;
    /// The lane.
    const LANE: Lane = Lane::SHARED;

    /// The id of the resource that the job is for; at most one job per subject waits.
    fn subject(&self) -> Uuid;

    /// The key of the jobs that run one at a time, over all workers; `None`: any number may run at once.
    fn serial_key(&self) -> Option<String> {
        None
    }
}

/// The prefix of the keys of a kind of job; the subject follows.
pub fn key_prefix<J: Job>() -> String {
    format!("{}:", J::NAME)
}

/// The key of the job for a subject.
pub fn key<J: Job>(subject: Uuid) -> String {
    format!("{}{subject}", key_prefix::<J>())
}

/// Adds a job within the caller's transaction. A waiting job with the same key is replaced; a running one continues,
/// and the new one follows it.
///
/// # Errors
/// Any error of Postgres.
pub async fn enqueue<J: Job>(connection: &mut Connection, job: &J) -> Result<()> {
    queue::add(connection, J::NAME, J::MAX_ATTEMPTS, vec![entry(job)?], None).await
}

/// Adds many jobs in one statement; see [`enqueue`].
///
/// # Errors
/// Any error of Postgres.
pub async fn enqueue_all<J: Job>(connection: &mut Connection, jobs: &[J]) -> Result<()> {
    let entries = jobs.iter().map(entry).collect::<Result<_>>()?;
    queue::add(connection, J::NAME, J::MAX_ATTEMPTS, entries, None).await
}

/// Adds a job that does not start before `at`; see [`enqueue`].
///
/// # Errors
/// Any error of Postgres.
pub async fn enqueue_at<J: Job>(connection: &mut Connection, job: &J, at: DateTime<Utc>) -> Result<()> {
    queue::add(connection, J::NAME, J::MAX_ATTEMPTS, vec![entry(job)?], Some(at)).await
}

fn entry<J: Job>(job: &J) -> Result<queue::Entry> {
    let payload = serde_json::to_string(job).map_err(Error::internal)?;
    Ok(queue::Entry { key: key::<J>(job.subject()), serial_key: job.serial_key(), payload })
}

/// Adds, in one statement, those jobs whose key has no job that may still run, now or later; returns how many were
/// added.
///
/// # Errors
/// Any error of Postgres.
pub async fn enqueue_missing<J: Job>(connection: &mut Connection, jobs: &[J]) -> Result<usize> {
    let entries = jobs.iter().map(entry).collect::<Result<_>>()?;
    queue::add_missing(connection, J::NAME, J::MAX_ATTEMPTS, entries).await
}

/// Treats `NOT_FOUND` as success: the subject of a job may be gone by the time it runs.
///
/// # Errors
/// Any error but `NOT_FOUND`.
pub fn gone_is_done(ended: Result<()>) -> Result<()> {
    ended.or_else(|error| if error.reason() == Reason::NotFound { Ok(()) } else { Err(error) })
}

/// Removes the waiting job of a subject. A running one continues, and finds nothing to do.
///
/// # Errors
/// Any error of Postgres.
pub async fn cancel<J: Job>(connection: &mut Connection, subject: Uuid) -> Result<()> {
    queue::remove(connection, &key::<J>(subject)).await
}

/// The implementation of a job.
pub trait Handler: Job {
    /// Runs the job. An earlier attempt may have done part or all of it. Once `stop` is cancelled there is little time
    /// left.
    ///
    /// # Errors
    /// What prevented the job; it is retried. `NOT_FOUND` counts as success: the subject of the job is gone.
    fn run(self, app: &App, stop: &CancellationToken) -> impl Future<Output = Result<()>> + Send;

    /// Ends whatever waits for the job, once it is certain that the job is not retried. It may run several times, so
    /// what has ended already must stay as it is.
    ///
    /// # Errors
    /// What prevented it; a scheduled task then does it.
    fn give_up(self, _app: &App) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}

/// Ends each item that waits for a job that does not exist, by its id, at most [`BATCH`](crate::schedule::BATCH) of them;
/// returns how many there were.
///
/// # Errors
/// Any error of Postgres or of `end` but `NOT_FOUND`.
pub async fn end_without_job<J: Job, F>(app: &App, waiting: store::Waiting, end: impl Fn(Uuid) -> F) -> Result<usize>
where
    F: Future<Output = Result<()>>,
{
    let find = app.database.autocommit(async move |connection| {
        store::without_job(connection, waiting, key_prefix::<J>(), crate::schedule::BATCH).await
    });
    let left = find.await?;
    for id in &left {
        gone_is_done(end(*id).await)?;
    }
    Ok(left.len())
}
