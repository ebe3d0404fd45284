//! Asks the gateway where a subscription stands, because something was told about it, or because nothing was.

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
    /// Over some hours, a provider away all the while; the clock begins anew afterwards.
    const MAX_ATTEMPTS: i32 = 10;

    fn subject(&self) -> Uuid {
        self.subscription.0
    }
}
