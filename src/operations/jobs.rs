//! Scheduled tasks.

use chrono::TimeDelta;
use mainstay_kernel::{
    app::App,
    error::Result,
    schedule::{BATCH, in_batches},
};

use crate::operations::store;

/// How long the outcome of an operation can be read: longer than the lifetime of an idempotency key that refers to it.
const RETENTION: TimeDelta = TimeDelta::days(30);

pub(super) async fn forget_operations(app: App) -> Result<usize> {
    let before = app.clock.now() - RETENTION;
    in_batches(&app, |connection| Box::pin(store::delete_expired_errors(connection, before, BATCH))).await?;
    in_batches(&app, |connection| Box::pin(store::delete_expired(connection, before, BATCH))).await
}
