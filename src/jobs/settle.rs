//! Finishes a payment, a refund, or what was asked of a subscription, that nobody else has finished.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Job;
use crate::id::{PaymentId, RefundId, SubscriptionId};

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
}
