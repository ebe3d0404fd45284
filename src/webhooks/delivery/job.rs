//! The job that sends an event to a webhook endpoint.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::webhooks::config::WebhooksConfig;
use crate::webhooks::delivery::model::Delivery;
use crate::webhooks::id::{WebhookDeliveryId, WebhookEndpointId};
use mainstay_kernel::queue::{Job, Lane};

/// The slots of deliveries, whose receivers are chosen by others.
const DELIVERIES: Lane = Lane::serial("webhooks", |config| config.section::<WebhooksConfig>().concurrency);

/// Makes one attempt to deliver an event, together with all other deliveries due to the same endpoint, whose jobs then
/// find nothing to do. The next attempt is a new job, at its own time; the queue retries this one only when its outcome
/// could not be stored.
///
/// The jobs of an endpoint run serially, so an endpoint that hangs occupies one slot of one worker. Its job gives the
/// slot up after a second, and continues, unless too many others do so already.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct DeliverWebhook {
    pub delivery: WebhookDeliveryId,
    pub endpoint: WebhookEndpointId,
}

impl DeliverWebhook {
    /// Makes the job of a delivery.
    pub fn of(delivery: &Delivery) -> Self {
        Self { delivery: delivery.id, endpoint: delivery.endpoint }
    }
}

impl Job for DeliverWebhook {
    const NAME: &'static str = "deliver_webhook";
    const MAX_ATTEMPTS: i32 = 8;
    const LANE: Lane = DELIVERIES;

    fn subject(&self) -> Uuid {
        self.delivery.0
    }

    fn serial_key(&self) -> Option<String> {
        Some(format!("webhook_endpoint:{}", self.endpoint))
    }
}
