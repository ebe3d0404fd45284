//! Sends an event to an endpoint.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Job, Lane};
use crate::{
    domain::webhook::Delivery,
    id::{WebhookDeliveryId, WebhookEndpointId},
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
    /// For a delivery.
    pub fn of(delivery: &Delivery) -> Self {
        Self { delivery: delivery.id, endpoint: delivery.endpoint }
    }
}

impl Job for DeliverWebhook {
    const NAME: &'static str = "deliver_webhook";
    const MAX_ATTEMPTS: i32 = 8;
    const LANE: Lane = Lane::Webhooks;

    fn subject(&self) -> Uuid {
        self.delivery.0
    }

    fn serial_key(&self) -> Option<String> {
        Some(format!("webhook_endpoint:{}", self.endpoint))
    }
}
