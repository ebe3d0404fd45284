//! The job that processes a webhook event received from a provider.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::webhooks::id::InboundEventId;
use mainstay_kernel::queue::Job;

/// Hands a stored event of a gateway to its handlers.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ProcessInboundEvent {
    pub event: InboundEventId,
}

impl Job for ProcessInboundEvent {
    const NAME: &'static str = "process_inbound_event";
    /// Spans about half an hour.
    const MAX_ATTEMPTS: i32 = 8;

    fn subject(&self) -> Uuid {
        self.event.0
    }
}
