//! Finishes a payment, a refund, or what was asked of a subscription, that nobody else has finished.

use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use serde::{Deserialize, Serialize};

use super::{Job, worker::House};
use crate::{
    id::{PaymentId, RefundId, SubscriptionId},
    ops::settle,
};

/// The job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settle {
    /// A payment.
    Payment(PaymentId),
    /// A refund.
    Refund(RefundId),
    /// A subscription that begins, or is being cancelled.
    Subscription(SubscriptionId),
}

impl Job for Settle {
    const NAME: &'static str = "settle";
    /// It is not tried again for want of the gateway's word, which is no failure of the job, but for want of Postgres.
    const MAX_ATTEMPTS: i32 = 10;

    fn key(&self) -> String {
        format!("settle:{}", self.id())
    }
}

impl Settle {
    /// The id of the payment, the refund or the subscription.
    pub fn id(&self) -> uuid::Uuid {
        match self {
            Self::Payment(PaymentId(id)) | Self::Refund(RefundId(id)) | Self::Subscription(SubscriptionId(id)) => *id,
        }
    }
}

impl TaskHandler for Settle {
    const IDENTIFIER: &'static str = <Self as Job>::NAME;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let house = House::of(&context)?;
        settle::finish(&house.app, self).await.map_err(|error| super::text(&error))
    }
}
