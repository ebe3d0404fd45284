//! The job that queries the gateway for the state of a subscription, after a webhook event or after a time without one.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Job;
use crate::id::SubscriptionId;

/// The job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncSubscription {
    /// The subscription.
    pub subscription: SubscriptionId,
}

impl Job for SyncSubscription {
    const NAME: &'static str = "sync_subscription";
    /// Spans some hours of an unavailable gateway; afterwards the schedule queues the job again.
    const MAX_ATTEMPTS: i32 = 10;

    fn subject(&self) -> Uuid {
        self.subscription.0
    }
}
