//! Finishes a payment, a refund, or what was asked of a subscription, that nobody else has finished.

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Job;
use crate::{
    app::App,
    error::Result,
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

    fn subject(&self) -> Uuid {
        match self {
            Self::Payment(PaymentId(id)) | Self::Refund(RefundId(id)) | Self::Subscription(SubscriptionId(id)) => *id,
        }
    }

    async fn run(self, app: &App, _: &CancellationToken) -> Result<()> {
        settle::finish(app, self).await
    }
}
