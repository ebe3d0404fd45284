//! Scheduled tasks.

use chrono::TimeDelta;
use mainstay_kernel::{
    app::App,
    error::Result,
    schedule::{BATCH, in_batches},
};

use crate::identity::auth::store;

/// Until then an expired reset is still distinguished from an unknown one.
const RESETS_KEPT: TimeDelta = TimeDelta::days(1);

pub(super) async fn expire_resets(app: App) -> Result<usize> {
    let before = app.clock.now() - RESETS_KEPT;
    in_batches(&app, |connection| Box::pin(store::forget(connection, before, BATCH))).await
}
