//! The job that removes the deliveries of a removed endpoint.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::webhooks::id::WebhookEndpointId;
use mainstay_kernel::queue::Job;

/// Removes the deliveries of an endpoint that was removed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ForgetDeliveries {
    /// The endpoint that was removed.
    pub endpoint: WebhookEndpointId,
}

impl Job for ForgetDeliveries {
    const NAME: &'static str = "forget_deliveries";
    /// Without this job the deliveries would stay until they expire.
    const MAX_ATTEMPTS: i32 = 25;

    fn subject(&self) -> Uuid {
        self.endpoint.0
    }
}
