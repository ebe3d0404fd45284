//! Scheduled tasks.

use mainstay_kernel::{app::App, error::Result};

use crate::audit::{chain::ops, export::ops as export_ops};

pub(super) async fn chain(app: App) -> Result<usize> {
    ops::lengthen(&app).await
}

pub(super) async fn export(app: App) -> Result<usize> {
    export_ops::run(&app).await
}
