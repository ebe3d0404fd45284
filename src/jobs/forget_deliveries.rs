//! Removes what an endpoint was told that is no more.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Job;
use crate::id::WebhookEndpointId;

/// The job.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ForgetDeliveries {
    /// The endpoint that was removed.
    pub endpoint: WebhookEndpointId,
}

impl Job for ForgetDeliveries {
    const NAME: &'static str = "forget_deliveries";
    /// Nobody else would remove them before they are old.
    const MAX_ATTEMPTS: i32 = 25;

    fn subject(&self) -> Uuid {
        self.endpoint.0
    }
}
