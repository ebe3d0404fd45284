//! Background work: scheduled tasks, and an event handler.

use futures_util::{FutureExt as _, future::BoxFuture};
use mainstay_kernel::{app::App, error::Result, events::Event};

use crate::{config::FleetConfig, lease::ops as leases};

/// Ends the expired leases, and returns their number.
pub(crate) async fn expire_leases(app: App) -> Result<usize> {
    leases::expire_due(&app).await
}

/// Announces the leases that end soon, and returns their number.
pub(crate) async fn announce_ends(app: App) -> Result<usize> {
    leases::announce_due(&app).await
}

/// Leases a vehicle to the account that paid an order.
pub(crate) fn grant_lease<'a>(app: &'a App, event: &'a Event) -> BoxFuture<'a, Result<()>> {
    let duration = app.config.section::<FleetConfig>().lease_duration;
    leases::grant_for_order(app, event, duration).boxed()
}
