//! The job that sends an event to a webhook endpoint.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::webhooks::config::WebhooksConfig;
use crate::webhooks::delivery::model::Delivery;
use crate::webhooks::id::{WebhookDeliveryId, WebhookEndpointId};
use mainstay_kernel::queue::{Job, Lane};

/// The slots of deliveries, separate because the receivers are chosen by customers.
const DELIVERIES: Lane = Lane::serial("webhooks", |config| config.section::<WebhooksConfig>().concurrency);

/// Makes one attempt to deliver an event, together with all other deliveries due to the same endpoint, whose jobs then
/// find nothing to do. The next attempt is a new job, at its own time; the queue retries this job only when its outcome
/// could not be stored.
///
/// The jobs of an endpoint run serially, so a hanging endpoint occupies one slot of one worker. Its job releases the
/// slot after a second, and continues, unless too many other jobs already continue without a slot.
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
