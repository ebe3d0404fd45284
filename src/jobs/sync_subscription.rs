//! Asks the gateway where a subscription stands, because something was told about it, or because nothing was.

use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use serde::{Deserialize, Serialize};

use super::{Job, worker::House};
use crate::{error::Reason, id::SubscriptionId, ops::subscription};

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

    fn key(&self) -> String {
        format!("sync_subscription:{}", self.subscription)
    }
}

impl TaskHandler for SyncSubscription {
    const IDENTIFIER: &'static str = <Self as Job>::NAME;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let house = House::of(&context)?;
        match subscription::sync(&house.app, self.subscription).await {
            Ok(()) => Ok(()),
            Err(gone) if gone.reason() == Reason::NotFound => Ok(()),
            Err(error) => Err(super::text(&error)),
        }
    }
}
