//! Sends an event to an endpoint.

use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use serde::{Deserialize, Serialize};

use super::{Job, Lane, worker::House};
use crate::{
    app::App,
    domain::webhook::Delivery,
    error::Result,
    id::{WebhookDeliveryId, WebhookEndpointId},
    ops::webhook::delivery,
};

/// The job: one attempt, and with it whatever else is due to the same endpoint, whose jobs are then done with. The next
/// attempt is a job of its own, at its own time; this one is tried again only when what became of it could not be written
/// down.
///
/// The jobs of an endpoint stand in a row, so one that hangs has one place of one worker and no more.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct DeliverWebhook {
    /// The delivery.
    pub delivery: WebhookDeliveryId,
    /// Where it goes.
    pub endpoint: WebhookEndpointId,
}

impl DeliverWebhook {
    /// What its keys begin with; the delivery's id follows.
    pub const KEY_PREFIX: &str = "deliver_webhook:";

    /// For a delivery.
    pub fn of(delivery: &Delivery) -> Self {
        Self { delivery: delivery.id, endpoint: delivery.endpoint }
    }
}

impl Job for DeliverWebhook {
    const NAME: &'static str = "deliver_webhook";
    const MAX_ATTEMPTS: i32 = 8;
    const LANE: Lane = Lane::Webhooks;

    fn key(&self) -> String {
        format!("{}{}", Self::KEY_PREFIX, self.delivery)
    }

    fn row(&self) -> Option<String> {
        Some(format!("webhook_endpoint:{}", self.endpoint))
    }

    async fn give_up(self, app: &App) -> Result<()> {
        delivery::give_up(app, self.delivery).await
    }
}

impl TaskHandler for DeliverWebhook {
    const IDENTIFIER: &'static str = <Self as Job>::NAME;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let house = House::of(&context)?;
        delivery::deliver_due(&house.app, self, &house.stop).await.map_err(|error| super::text(&error))
    }
}
