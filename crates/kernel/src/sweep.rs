//! The kernel's scheduled tasks, which remove expired data in batches or by the month.

use std::sync::Arc;

use crate::{
    app::App,
    changes,
    database::{attempt_limit, idempotency},
    error::Result,
    partitions::{self, PartitionedTable},
    queue,
    retention::{DEAD_JOBS, KEYS, RESPONSES},
    schedule::{BATCH, HOUR, MINUTE, Task, in_batches},
};

/// Returns the tasks. One of them maintains the partitions of `tables`.
pub(crate) fn tasks(tables: Arc<[PartitionedTable]>) -> Vec<Task> {
    vec![
        Task::new(
            "expire_keys",
            10 * MINUTE,
            "Removes stored responses after IDEMPOTENT_RESPONSES_KEPT, idempotency keys after IDEMPOTENCY_KEYS_KEPT",
            expire_keys,
        ),
        Task::new(
            "expire_attempt_limits",
            10 * MINUTE,
            "Removes limits on attempts that have expired",
            expire_attempt_limits,
        ),
        Task::new("forget_changes", 10 * MINUTE, "Removes changes of resources after 70 minutes", forget_changes),
        Task::new("forget_dead_jobs", HOUR, "Removes jobs DEAD_JOBS_KEPT after they were given up", forget_dead_jobs),
        Task::new(
            "keep_partitions",
            HOUR,
            "Adds the partitions of the months ahead, removes those past their retention",
            move |app| partitions::maintain(app, tables.clone()),
        ),
    ]
}

async fn expire_keys(app: App) -> Result<usize> {
    let now = app.clock.now();
    let (answers, keys) = (RESPONSES.start(&app.config, now), KEYS.start(&app.config, now));
    let emptied = in_batches(&app, |connection| Box::pin(idempotency::empty(connection, answers, BATCH))).await?;
    let deleted = in_batches(&app, |connection| Box::pin(idempotency::delete_expired(connection, keys, BATCH))).await?;
    Ok(emptied + deleted)
}

async fn expire_attempt_limits(app: App) -> Result<usize> {
    in_batches(&app, |connection| Box::pin(attempt_limit::delete_expired(connection, BATCH))).await
}

async fn forget_changes(app: App) -> Result<usize> {
    in_batches(&app, |connection| Box::pin(changes::delete_expired(connection, changes::RETENTION, BATCH))).await
}

async fn forget_dead_jobs(app: App) -> Result<usize> {
    let Some(age) = DEAD_JOBS.kept(&app.config) else { return Ok(0) };
    in_batches(&app, |connection| Box::pin(queue::dead::delete_expired(connection, age, BATCH))).await
}
