//! What happens in the background: a job, a scheduled task, and the handler of an event of another module.

use futures_util::{FutureExt as _, future::BoxFuture};
use mainstay_kernel::{
    app::App,
    error::Result,
    events::Event,
    queue::{Handler, Job, gone_is_done},
    schedule::BATCH,
};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    config::FleetConfig,
    lease::ops as leases,
    vehicle::{model::VehicleId, ops as vehicles},
};

/// Recharges a vehicle after a lease.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Recharge {
    /// The vehicle.
    pub vehicle: VehicleId,
}

impl Job for Recharge {
    const NAME: &'static str = "fleet.recharge";
    const MAX_ATTEMPTS: i32 = 8;

    fn subject(&self) -> Uuid {
        self.vehicle.0
    }
}

impl Handler for Recharge {
    async fn run(self, app: &App, _stop: &CancellationToken) -> Result<()> {
        // A real one would call the charging station first; see `mainstay_kernel::outbound`.
        let now = app.clock.now();
        app.database.transaction(async move |connection| vehicles::recharge(connection, self.vehicle, now).await).await
    }
}

/// Ends the leases whose time is over; returns how many there were. What exceeds a batch is left to the next run.
pub(crate) async fn expire_leases(app: App) -> Result<usize> {
    let now = app.clock.now();
    let expired =
        app.database.autocommit(async move |connection| leases::expired(connection, now, BATCH).await).await?;
    for id in expired.iter().copied() {
        let ended = app.database.transaction(async move |connection| leases::expire(connection, id, now).await);
        gone_is_done(ended.await)?;
    }
    Ok(expired.len())
}

/// Leases a vehicle to the account that paid an order.
pub(crate) fn grant_lease<'a>(app: &'a App, event: &'a Event) -> BoxFuture<'a, Result<()>> {
    let (account, order, now) = (event.account, event.resource, app.clock.now());
    let duration = app.config.section::<FleetConfig>().lease_duration;
    async move {
        let granted = app
            .database
            .transaction(async move |connection| leases::grant(connection, account, order, duration, now).await);
        granted.await.map(drop)
    }
    .boxed()
}
