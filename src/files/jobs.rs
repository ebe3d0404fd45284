//! Scheduled tasks.

use chrono::TimeDelta;
use mainstay_kernel::{app::App, error::Result};

use crate::files::{file::ops, storage::Storage};

/// Objects that are taken at once.
const BATCH: i64 = 100;
/// After this an object is deleted again, if it is not known that it was.
const AGAIN: TimeDelta = TimeDelta::minutes(5);

pub(super) async fn expire_files(app: App) -> Result<usize> {
    let (now, mut expired) = (app.clock.now(), 0);
    loop {
        match ops::expire(&app, now).await? {
            0 => return Ok(expired),
            count => expired += count,
        }
    }
}

/// Deletes what nobody keeps. An object is forgotten once it is deleted, so a storage that is unavailable loses none.
pub(super) async fn delete_objects(app: App) -> Result<usize> {
    let now = app.clock.now();
    let mut deleted = 0;
    loop {
        let keys =
            app.database.autocommit(async move |connection| ops::doomed(connection, now, now + AGAIN, BATCH).await);
        let keys = keys.await?;
        if keys.is_empty() {
            return Ok(deleted);
        }
        for key in &keys {
            app.part::<Storage>().delete(key).await?;
        }
        deleted += keys.len();
        app.database.autocommit(async move |connection| ops::forget(connection, &keys).await).await?;
    }
}
