//! Job handlers and scheduled tasks.

use chrono::TimeDelta;
use mainstay_kernel::{
    app::App,
    error::Result,
    queue::Handler,
    schedule::{BATCH, in_batches},
};
use tokio_util::sync::CancellationToken;

use crate::webhooks::{
    delivery::{self, job::DeliverWebhook, removal_job::ForgetDeliveries},
    inbound_event::{self, job::ProcessInboundEvent},
};

/// How long events are kept: longer than any provider redelivers an event, so that duplicates are recognized. A dead
/// event can be redriven in this time.
const EVENT_RETENTION: TimeDelta = TimeDelta::days(90);
/// How long deliveries are kept, and can be resent.
pub(super) const DELIVERY_RETENTION: TimeDelta = TimeDelta::days(30);

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
    let before = app.clock.now() - EVENT_RETENTION;
    in_batches(&app, |connection| Box::pin(inbound_event::store::delete_expired(connection, before, BATCH))).await
}
