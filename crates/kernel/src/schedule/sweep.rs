//! The kernel's own scheduled tasks: they remove what is no longer needed, in batches.

use chrono::TimeDelta;
use futures_util::future::BoxFuture;

use super::{HOUR, MINUTE, Task};
use crate::{
    app::App,
    database::{Connection, idempotency, login_limit},
    error::Result,
    queue,
    unit_of_work::ANSWERS_KEPT,
};

/// Rows removed by one statement, so that none holds its locks for long.
pub const BATCH: i64 = 1000;

/// Until then a reused key is refused rather than executed again.
const KEYS_KEPT: TimeDelta = TimeDelta::days(30);
/// Until then the reason of a job's failure can be read.
const DEAD_JOBS_KEPT: TimeDelta = TimeDelta::days(30);

/// Removes rows in batches until one is incomplete; `remove` removes at most [`BATCH`] and returns how many. Returns the
/// number of all. The future is boxed, because rustc can't prove yet that one of an `AsyncFn` is `Send` here.
///
/// # Errors
/// Any error of `remove`; the earlier batches stay removed.
pub async fn in_batches(
    app: &App,
    remove: impl for<'c> Fn(&'c mut Connection) -> BoxFuture<'c, Result<usize>> + Send + Sync,
) -> Result<usize> {
    let mut removed = 0;
    loop {
        let batch = app.database.autocommit(async |connection| remove(connection).await).await?;
        removed += batch;
        if batch < usize::try_from(BATCH).unwrap_or(usize::MAX) {
            return Ok(removed);
        }
    }
}

pub(crate) fn kernel_tasks() -> Vec<Task> {
    vec![
        Task::new(
            "expire_keys",
            10 * MINUTE,
            "Removes stored responses after 1 day, idempotency keys after 30 days",
            expire_keys,
        ),
        Task::new("expire_login_limits", 10 * MINUTE, "Removes login limits that have expired", expire_login_limits),
        Task::new("forget_dead_jobs", HOUR, "Removes jobs 30 days after their last attempt failed", forget_dead_jobs),
    ]
}

async fn expire_keys(app: App) -> Result<usize> {
    let now = app.clock.now();
    let (answers, keys) = (now - ANSWERS_KEPT, now - KEYS_KEPT);
    let emptied = in_batches(&app, |connection| Box::pin(idempotency::empty(connection, answers, BATCH))).await?;
    let forgotten = in_batches(&app, |connection| Box::pin(idempotency::forget(connection, keys, BATCH))).await?;
    Ok(emptied + forgotten)
}

async fn expire_login_limits(app: App) -> Result<usize> {
    let now = app.clock.now();
    in_batches(&app, |connection| Box::pin(login_limit::forget(connection, now, BATCH))).await
}

async fn forget_dead_jobs(app: App) -> Result<usize> {
    let before = app.clock.now() - DEAD_JOBS_KEPT;
    in_batches(&app, |connection| Box::pin(queue::store::forget_dead(connection, before, BATCH))).await
}
