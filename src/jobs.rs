//! Background work: what the queue holds. Who works on it is the [`worker`](crate::worker).
//!
//! A job is a row that commits with what caused it ([`enqueue`] runs in the caller's transaction), so there is no job
//! without its cause and no cause without its job. It runs at least once: what it does must bear to be done again.
//! Payloads hold ids, never secrets: the queue logs them.
//!
//! What takes long, or waits for a server that somebody else chose, has places of its own (a [`Lane`]), so that a dozen
//! receivers which hang hold up nothing but what is for receivers. Jobs for the same receiver stand in a row
//! ([`Job::row`]), so that one which hangs holds up no other.
//!
//! A worker that dies is noticed by its heartbeat. Its jobs come back with the attempt counted, so a job that kills its
//! worker ends after [`Job::MAX_ATTEMPTS`] like one that fails. What comes by the clock rather than by a cause
//! is no job but a task of the [`schedule`](crate::worker::schedule).

mod deliver_webhook;
mod forget_deliveries;
mod import_tickets;
mod process_inbound_event;
mod send_mail;
mod settle;
mod sync_refunds;
mod sync_subscription;

use chrono::{DateTime, Utc};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{
    config::Config,
    error::{Error, Reason, Result},
    store::{Connection, queue},
};

pub use deliver_webhook::DeliverWebhook;
pub use forget_deliveries::ForgetDeliveries;
pub use import_tickets::ImportTickets;
pub use process_inbound_event::ProcessInboundEvent;
pub use send_mail::SendMail;
pub use settle::Settle;
pub use sync_refunds::SyncRefunds;
pub use sync_subscription::SyncSubscription;

/// Whose places a job takes while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Those that all jobs share which name no other.
    Shared,
    /// Those of deliveries to receivers that others chose.
    Webhooks,
    /// Those of mail, whose provider may be slow.
    Mail,
    /// Those of imports, which take as long as a file is large.
    Imports,
}

impl Lane {
    /// Every lane.
    pub const ALL: [Self; 4] = [Self::Shared, Self::Webhooks, Self::Mail, Self::Imports];

    /// How many of its jobs one worker runs at once.
    pub fn places(self, config: &Config) -> usize {
        match self {
            Self::Shared => config.jobs.concurrency,
            Self::Webhooks => config.webhooks.concurrency,
            Self::Mail => config.mail.concurrency,
            Self::Imports => config.jobs.imports,
        }
    }
}

/// A job of the queue.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What the queue knows it by, and what its keys begin with.
    const NAME: &'static str;
    /// How often it is tried.
    const MAX_ATTEMPTS: i32;
    /// Whose places it takes.
    const LANE: Lane = Lane::Shared;

    /// What it is for: there is one waiting job of a subject at most.
    fn subject(&self) -> Uuid;

    /// Which row it stands in, if in one: of those in a row one runs at a time, over all workers.
    fn row(&self) -> Option<String> {
        None
    }
}

/// What the key of a job of a kind begins with; its subject follows.
pub(crate) fn key_prefix<J: Job>() -> String {
    format!("{}:", J::NAME)
}

/// The key of the job of a subject.
pub(crate) fn key<J: Job>(subject: Uuid) -> String {
    format!("{}{subject}", key_prefix::<J>())
}

/// Adds a job within the caller's transaction. One of the same key that waits is replaced; one that runs goes on, and
/// this one follows.
///
/// # Errors
/// What Postgres answers.
pub async fn enqueue<J: Job>(connection: &mut Connection, job: &J) -> Result<()> {
    queue::add(connection, J::NAME, J::MAX_ATTEMPTS, vec![entry(job)?], None).await
}

/// As [`enqueue`], for many at the price of one statement.
///
/// # Errors
/// What Postgres answers.
pub async fn enqueue_all<J: Job>(connection: &mut Connection, jobs: &[J]) -> Result<()> {
    let entries = jobs.iter().map(entry).collect::<Result<_>>()?;
    queue::add(connection, J::NAME, J::MAX_ATTEMPTS, entries, None).await
}

/// As [`enqueue`], not to be begun before a time.
///
/// # Errors
/// What Postgres answers.
pub async fn enqueue_at<J: Job>(connection: &mut Connection, job: &J, at: DateTime<Utc>) -> Result<()> {
    queue::add(connection, J::NAME, J::MAX_ATTEMPTS, vec![entry(job)?], Some(at)).await
}

fn entry<J: Job>(job: &J) -> Result<queue::Entry> {
    let payload = serde_json::to_string(job).map_err(Error::internal)?;
    Ok(queue::Entry { key: key::<J>(job.subject()), row: job.row(), payload })
}

/// As [`enqueue_all`], but for those of whose key there is a job that may still run, be it at a later time; returns how many
/// were added. One statement.
///
/// # Errors
/// What Postgres answers.
pub async fn enqueue_missing<J: Job>(connection: &mut Connection, jobs: &[J]) -> Result<usize> {
    let entries = jobs.iter().map(entry).collect::<Result<_>>()?;
    queue::add_missing(connection, J::NAME, J::MAX_ATTEMPTS, entries).await
}

/// Whatever a job is for may be gone by the time it runs: then it is done.
///
/// # Errors
/// Every one but `NOT_FOUND`.
pub fn gone_is_done(ended: Result<()>) -> Result<()> {
    ended.or_else(|error| if error.reason() == Reason::NotFound { Ok(()) } else { Err(error) })
}

/// Takes the job of a subject back that waits. One that runs goes on, and finds nothing to do.
///
/// # Errors
/// What Postgres answers.
pub async fn cancel<J: Job>(connection: &mut Connection, subject: Uuid) -> Result<()> {
    queue::remove(connection, &key::<J>(subject)).await
}

/// An error as the queue keeps it, for operators.
pub fn text(error: &Error) -> String {
    let cause = error.source().map(|source| format!(": {source:#}")).unwrap_or_default();
    format!("{}{cause}", error.reason().facts().code)
}
