//! Scheduled tasks.

use chrono::TimeDelta;
use mainstay_kernel::{app::App, error::Result};

use crate::files::{file::ops, storage::Storage};

/// Objects that are taken at once.
const BATCH: i64 = 100;
/// After this an object is deleted again, if it is not known that it was.
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

/// Deletes what nobody keeps. An object is forgotten once it is deleted, so a storage that is unavailable loses none; and
/// one that can't be deleted holds up no other.
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
        // There are none, or the storage is unavailable.
        if deleted_keys.is_empty() {
            return failed.map_or(Ok(deleted), Err);
        }
        deleted += deleted_keys.len();
        ops::forget(&app, deleted_keys).await?;
    }
}
