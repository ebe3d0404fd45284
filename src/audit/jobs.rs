//! Scheduled tasks.

use mainstay_kernel::{app::App, error::Result};

use crate::audit::chain::ops;

pub(super) async fn chain(app: App) -> Result<usize> {
    ops::lengthen(&app).await
}
