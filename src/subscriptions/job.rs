//! Jobs that settle a subscription or query its state.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::subscriptions::id::SubscriptionId;
use mainstay_kernel::queue::Job;

/// The job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncSubscription {
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

/// Settles a subscription that is being created or cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettleSubscription(pub SubscriptionId);

impl Job for SettleSubscription {
    const NAME: &'static str = "settle_subscription";
    const MAX_ATTEMPTS: i32 = 10;

    fn subject(&self) -> Uuid {
        self.0.0
    }
}
