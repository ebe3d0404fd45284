//! Job handlers and scheduled tasks.

use mainstay_kernel::{
    app::App,
    config::Retention,
    error::Result,
    queue::Handler,
    schedule::{BATCH, in_batches},
};
use tokio_util::sync::CancellationToken;

use crate::webhooks::{
    delivery::{self, job::DeliverWebhook, removal_job::ForgetDeliveries},
    inbound_event::{self, job::ProcessInboundEvent},
};

/// The shortest retention is longer than any provider redelivers an event, so that duplicates are recognized. A dead event
/// can be redriven in this time.
const EVENTS: Retention = Retention::of(
    &["inbound_events"],
    "INBOUND_EVENTS_KEPT",
    "90d",
    ["30d", "400d"],
    "How long inbound webhook events are kept, dead ones after they died",
);
/// A kept delivery can be resent. Attempts are removed together with their deliveries.
pub(super) const DELIVERIES: Retention = Retention::of(
    &["webhook_deliveries", "webhook_attempts"],
    "WEBHOOK_DELIVERIES_KEPT",
    "30d",
    ["1d", "400d"],
    "How long deliveries of webhooks are kept, then removed by the month",
);

pub(super) const RETENTIONS: [Retention; 3] =
    [EVENTS, DELIVERIES, Retention::without_age(&["webhook_endpoints"], "until the erasure of the account")];

impl Handler for ProcessInboundEvent {
    async fn run(self, app: &App, _: &CancellationToken) -> Result<()> {
        if let Some(state) = inbound_event::ops::process(app, self.event).await? {
            tracing::info!(event = %self.event, state = state.name(), "an inbound event was handled");
        }
        Ok(())
    }

    async fn give_up(self, app: &App) -> Result<()> {
        inbound_event::ops::give_up(app, self.event).await
    }
}

impl Handler for DeliverWebhook {
    async fn run(self, app: &App, stop: &CancellationToken) -> Result<()> {
        delivery::ops::deliver_due(app, self, stop).await
    }

    async fn give_up(self, app: &App) -> Result<()> {
        delivery::ops::give_up(app, self.delivery).await
    }
}

impl Handler for ForgetDeliveries {
    async fn run(self, app: &App, stop: &CancellationToken) -> Result<()> {
        delivery::ops::delete_of_endpoint(app, self, stop).await
    }
}

pub(super) async fn forget_inbound_events(app: App) -> Result<usize> {
    let before = EVENTS.start(&app.config, app.clock.now());
    in_batches(&app, |connection| Box::pin(inbound_event::store::delete_expired(connection, before, BATCH))).await
}
