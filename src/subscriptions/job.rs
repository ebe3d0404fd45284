//! Jobs that settle a subscription or query its state.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::subscriptions::id::SubscriptionId;
use mainstay_kernel::{app::App, module::Modules, queue::Job};

/// The job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncSubscription {
    pub subscription: SubscriptionId,
    /// How often the gateway has not answered the query.
    #[serde(default)]
    pub repetitions: u32,
}

impl SyncSubscription {
    /// Makes the first job for a subscription.
    pub fn new(subscription: SubscriptionId) -> Self {
        Self { subscription, repetitions: 0 }
    }

    /// Returns whether this program has the module that runs the job.
    pub fn has_handler(app: &App) -> bool {
        Modules::of(app).has("subscriptions")
    }
}

impl Job for SyncSubscription {
    const NAME: &'static str = "sync_subscription";
    /// Counts failures of Postgres: a missing answer of the gateway repeats the job, and is a failure only after hours.
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
