//! Background jobs: the content of the queue. The [`worker`](crate::queue::worker) runs them.
//!
//! A job is a row that commits with its cause ([`enqueue`] runs in the caller's transaction), so neither exists without
//! the other. A job runs at least once, so its work must be idempotent. Payloads hold ids, never secrets: operators read
//! them.
//!
//! ```text
//!            ┌── failed: later again ──┐
//!            ▼                         │            attempts left?
//!   enqueued, waits ──▶ taken, runs ───┴──▶ failed ──▶ no: given up, dead ──▶ redriven by an operator: waits
//!                          │    ▲
//!                          │    └── its worker died: taken again when the lease is over
//!                          └──▶ done: no row
//! ```
//!
//! Jobs that take long, or wait for a server chosen by someone else, have slots of their own (a [`Lane`]), so that a
//! dozen receivers that hang delay nothing but webhooks. In a [serial](Lane::serial) lane the jobs for the same receiver
//! run one at a time ([`Job::serial_key`]), so that one receiver that hangs delays no other. The lane of a kind is what the
//! program says that runs it; nothing of it is stored, so a release may move a kind to another lane.
//!
//! An attempt counts from the moment it starts, so a job that kills its worker ends after [`Job::MAX_ATTEMPTS`], like one
//! that fails. Work that is due by time rather than by a cause is not a job but a task of the
//! [`schedule`](crate::schedule). Work that has a row of its own needs none in the queue: see [`rows`].

pub mod dead;
pub mod depth;
pub(crate) mod outage;
mod registry;
pub mod rows;
mod store;
pub mod worker;

pub use registry::Kind;

use std::collections::BTreeMap;

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

/// Jobs that gave up their slot and continue, for each slot of a serial lane.
const YIELDED: usize = 16;

/// A group of slots that jobs use while they run. Lanes of the same name are one lane.
#[derive(Debug, Clone, Copy)]
pub struct Lane {
    /// The name, for logs and metrics.
    pub name: &'static str,
    /// The number of jobs of this lane that one worker runs concurrently.
    pub max_concurrency: fn(&Config) -> usize,
    /// Whether each of its jobs has a [serial key](Job::serial_key).
    pub(crate) is_serial: bool,
}

impl Lane {
    /// The slots shared by all jobs that name no other lane.
    pub const SHARED: Self = Self::new("shared", |config| config.jobs.concurrency);

    /// Makes a lane.
    pub const fn new(name: &'static str, max_concurrency: fn(&Config) -> usize) -> Self {
        Self { name, max_concurrency, is_serial: false }
    }

    /// Makes a lane of jobs that have a [serial key](Job::serial_key): those that wait for a server that others chose. A
    /// job that takes longer than a second gives its slot to the next one, and continues.
    pub const fn serial(name: &'static str, max_concurrency: fn(&Config) -> usize) -> Self {
        Self { name, max_concurrency, is_serial: true }
    }
}

impl Lane {
    /// Returns how many of its jobs one worker runs at most, with those that gave up their slot.
    pub fn max_running(&self, config: &Config) -> usize {
        (self.max_concurrency)(config) * if self.is_serial { 1 + YIELDED } else { 1 }
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

    /// The key of the jobs that run one at a time, over all workers. Jobs of a [serial](Lane::serial) lane have one, and
    /// no others; of those without, the jobs with the same subject run one at a time.
    fn serial_key(&self) -> Option<String> {
        None
    }
}

/// The key of the job for a subject.
pub fn key<J: Job>(subject: Uuid) -> String {
    format!("{}:{subject}", J::NAME)
}

/// Adds a job within the caller's transaction. A waiting job with the same key is replaced; a running one continues,
/// and the new one follows it. The workers of this process are told after the commit, those of others within a second.
///
/// # Errors
/// Any error of Postgres.
pub async fn enqueue<J: Job>(connection: &Connection, job: &J) -> Result<()> {
    queue::add(connection, batch(std::slice::from_ref(job))?, None).await
}

/// Adds many jobs in one statement; see [`enqueue`].
///
/// # Errors
/// Any error of Postgres.
pub async fn enqueue_all<J: Job>(connection: &Connection, jobs: &[J]) -> Result<()> {
    queue::add(connection, batch(jobs)?, None).await
}

/// Adds a job that does not start before `at`; see [`enqueue`].
///
/// # Errors
/// Any error of Postgres.
pub async fn enqueue_at<J: Job>(connection: &Connection, job: &J, at: DateTime<Utc>) -> Result<()> {
    queue::add(connection, batch(std::slice::from_ref(job))?, Some(at)).await
}

/// Adds a job that does not start before `at`, unless a job with the same key waits: the repetition of a job must not
/// postpone a newer one.
///
/// # Errors
/// Any error of Postgres.
pub async fn repeat_at<J: Job>(connection: &Connection, job: &J, at: DateTime<Utc>) -> Result<()> {
    queue::add_unless_waiting(connection, batch(std::slice::from_ref(job))?, at).await
}

/// Prepares jobs for storage. Of several with the same key, the last one counts.
fn batch<J: Job>(jobs: &[J]) -> Result<queue::Batch> {
    let mut entries = BTreeMap::new();
    for job in jobs {
        let (key, serial_key) = (key::<J>(job.subject()), job.serial_key());
        if serial_key.is_some() != J::LANE.is_serial {
            let lane = J::LANE.name;
            return Err(Error::internal(anyhow::anyhow!(
                "jobs: {key}: only in a serial lane, unlike {lane}, have jobs a serial key"
            )));
        }
        let payload = serde_json::to_string(job).map_err(Error::internal)?;
        entries.insert(key, (serial_key, payload));
    }
    Ok(queue::Batch { kind: J::NAME, max_attempts: J::MAX_ATTEMPTS, entries })
}

/// Adds, in one statement, those jobs whose key has no job that may still run, now or later; returns how many were
/// added.
///
/// # Errors
/// Any error of Postgres.
pub async fn enqueue_missing<J: Job>(connection: &mut Connection, jobs: &[J]) -> Result<usize> {
    queue::add_missing(connection, batch(jobs)?).await
}

/// Treats `NOT_FOUND` as success: the subject of a job may be gone by the time it runs.
///
/// # Errors
/// Any error but `NOT_FOUND`.
pub fn ignore_not_found(result: Result<()>) -> Result<()> {
    result.or_else(|error| if error.reason() == Reason::NotFound { Ok(()) } else { Err(error) })
}

/// Removes the waiting job of a subject. A running one continues, and finds nothing to do.
///
/// # Errors
/// Any error of Postgres.
pub async fn cancel<J: Job>(connection: &Connection, subject: Uuid) -> Result<()> {
    queue::remove(connection, &key::<J>(subject)).await
}

/// Removes the jobs of subjects that are removed, those that wait and those that are dead. A running one continues, and
/// finds nothing to do.
///
/// # Errors
/// Any error of Postgres.
pub async fn forget<J: Job>(connection: &Connection, subjects: &[Uuid]) -> Result<()> {
    queue::remove_all(connection, subjects.iter().map(|subject| key::<J>(*subject)).collect()).await
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
    /// What prevented it; it is retried until it succeeds, later and later.
    fn give_up(self, _app: &App) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}
