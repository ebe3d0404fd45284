//! Scheduled tasks.

use chrono::TimeDelta;
use mainstay_kernel::{app::App, error::Result};

use crate::files::{file::ops, storage::Storage};

/// The maximum number of objects that are claimed at once.
const BATCH: i64 = 100;
/// The delay after which the deletion of an object is retried, if its outcome is unknown.
const RETRY_DELAY: TimeDelta = TimeDelta::minutes(5);

pub(super) async fn expire_files(app: App) -> Result<usize> {
    let (now, mut expired) = (app.clock.now(), 0);
    loop {
        match ops::expire(&app, now).await? {
            0 => return Ok(expired),
            count => expired += count,
        }
    }
}

/// Deletes objects that no transaction kept. The record of an object is removed after the object, so an unavailable
/// storage leaks none. An object that can't be deleted does not block others.
pub(super) async fn delete_objects(app: App) -> Result<usize> {
    let now = app.clock.now();
    let (mut deleted, mut failed) = (0, None);
    loop {
        let keys = app
            .database
            .autocommit(async move |connection| ops::claim_deletable(connection, now, now + RETRY_DELAY, BATCH).await);
        let mut deleted_keys = Vec::new();
        for key in keys.await? {
            match app.part::<Storage>().delete(&key).await {
                Ok(()) => deleted_keys.push(key),
                Err(error) => {
                    failed.get_or_insert(error);
                }
            }
        }
        // No objects are left, or the storage is unavailable.
        if deleted_keys.is_empty() {
            return failed.map_or(Ok(deleted), Err);
        }
        deleted += deleted_keys.len();
        ops::forget(&app, deleted_keys).await?;
    }
}
