//! Scheduled tasks.

use mainstay_kernel::{
    app::App,
    config::Retention,
    error::Result,
    schedule::{BATCH, in_batches},
};

use crate::operations::{ops, store};

/// The shortest retention is the longest one of the idempotency keys that refer to an operation.
pub(super) const OPERATIONS: Retention = Retention::of(
    &["operations", "operation_errors"],
    "OPERATIONS_KEPT",
    "30d",
    ["30d", "400d"],
    "How long operations are kept after they ended",
);

pub(super) async fn fail_orphans(app: App) -> Result<usize> {
    let before = OPERATIONS.start(&app.config, app.clock.now());
    ops::fail_orphans(&app, before).await
}

pub(super) async fn forget_operations(app: App) -> Result<usize> {
    let before = OPERATIONS.start(&app.config, app.clock.now());
    in_batches(&app, |connection| Box::pin(store::delete_expired_errors(connection, before, BATCH))).await?;
    in_batches(&app, |connection| Box::pin(store::delete_expired(connection, before, BATCH))).await
}
