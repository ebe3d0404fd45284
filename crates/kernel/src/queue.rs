//! The job queue: background jobs in Postgres with at-least-once execution, run by the [`worker`].
//!
//! A job is a row that commits atomically with its cause, because [`enqueue`] runs in the caller's transaction. A job
//! may run several times, so that its work must be idempotent. Payloads contain ids and never secrets, because
//! operators read them.
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
//! Slow jobs, and jobs that wait for a user-supplied server, have separate slots (a [`Lane`]), so that a dozen hung
//! receivers delay only webhooks. In a [serial](Lane::serial) lane, the jobs of the same receiver run one at a time
//! ([`Job::serial_key`]), so that a hung receiver delays no other one. The program that runs a job decides its lane.
//! The lane is not stored, so that a release may move a kind of job to another lane.
//!
//! An attempt counts from its start, so that a job that kills its worker ends after [`Job::MAX_ATTEMPTS`] too. Work
//! that is due at a time is a task of the [`schedule`](crate::schedule) instead of a job. Work that is stored
//! in a row of another table needs no job: see [`rows`].

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

/// The most jobs that have yielded their slot and continue, per slot of a serial lane.
const YIELDED: usize = 16;

/// A group of slots for running jobs. Lanes with equal names are the same lane.
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
    /// The slots shared by all jobs without another lane.
    pub const SHARED: Self = Self::new("shared", |config| config.jobs.concurrency);

    /// Creates a lane.
    pub const fn new(name: &'static str, max_concurrency: fn(&Config) -> usize) -> Self {
        Self { name, max_concurrency, is_serial: false }
    }

    /// Creates a lane of jobs with a [serial key](Job::serial_key), which wait for user-supplied servers. A job that
    /// runs for longer than a second yields its slot to the next one, and continues.
    pub const fn serial(name: &'static str, max_concurrency: fn(&Config) -> usize) -> Self {
        Self { name, max_concurrency, is_serial: true }
    }

    /// Returns the maximum number of jobs of the lane that one worker runs, including jobs that have yielded their slot.
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

    /// The id of the resource that the job is for. A subject has at most one waiting job of this kind.
    fn subject(&self) -> Uuid;

    /// The mutual exclusion key: jobs with equal keys run one at a time, over all workers. Exactly the jobs of
    /// [serial](Lane::serial) lanes have one. Without one, the jobs of the same subject run one at a time.
    fn serial_key(&self) -> Option<String> {
        None
    }
}

/// Returns the key of the job for a subject.
pub fn key<J: Job>(subject: Uuid) -> String {
    key_of(J::NAME, subject)
}

fn key_of(kind: &str, subject: Uuid) -> String {
    format!("{kind}:{subject}")
}

/// Adds a job within the caller's transaction. It replaces a waiting job with the same key. A running one continues,
/// and the new one follows it. The workers of this process are notified after the commit, those of other processes poll
/// within a second.
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

/// Adds, in one statement, the jobs whose key has no waiting or running job. Returns their number.
///
/// # Errors
/// Any error of Postgres.
pub async fn enqueue_missing<J: Job>(connection: &mut Connection, jobs: &[J]) -> Result<usize> {
    queue::add_missing(connection, batch(jobs)?).await
}

/// Treats `NOT_FOUND` as success, because the subject of a job may be deleted before the job runs.
///
/// # Errors
/// Any error but `NOT_FOUND`.
pub fn ignore_not_found(result: Result<()>) -> Result<()> {
    result.or_else(|error| if error.reason() == Reason::NotFound { Ok(()) } else { Err(error) })
}

/// Removes the waiting job of a subject. A running one continues, and finds no work.
///
/// # Errors
/// Any error of Postgres.
pub async fn cancel<J: Job>(connection: &Connection, subject: Uuid) -> Result<()> {
    queue::remove(connection, &key::<J>(subject)).await
}

/// Removes the waiting and dead jobs of deleted subjects. A running one continues, and finds no work.
///
/// # Errors
/// Any error of Postgres.
pub async fn forget<J: Job>(connection: &Connection, subjects: &[Uuid]) -> Result<()> {
    queue::remove_all(connection, subjects.iter().map(|subject| key::<J>(*subject)).collect()).await
}

/// Removes the waiting and dead job of a subject by the name of its kind, which no module of this program declares.
///
/// # Errors
/// Any error of Postgres.
pub async fn forget_undeclared(connection: &Connection, kind: &str, subject: Uuid) -> Result<()> {
    queue::remove_all(connection, vec![key_of(kind, subject)]).await
}

/// The implementation of a job.
pub trait Handler: Job {
    /// Runs the job. An earlier attempt may have completed a part or all of it. Once `stop` is cancelled, little time
    /// remains.
    ///
    /// # Errors
    /// The failure of the job, which is retried, after its [`Error::wait`] at the earliest (at most an hour). `NOT_FOUND` counts
    /// as success: the subject of the job was deleted.
    fn run(self, app: &App, stop: &CancellationToken) -> impl Future<Output = Result<()>> + Send;

    /// Settles the resources that wait for the job, such as an operation, once it is certain that the job is not
    /// retried. It may run several times, so that it must leave settled resources unchanged.
    ///
    /// # Errors
    /// The failure, which is retried with a growing backoff until it succeeds.
    fn give_up(self, _app: &App) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}
