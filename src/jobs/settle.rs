//! The job that finishes a pending payment, refund, or change of a subscription.

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
    /// A subscription that is being created or cancelled.
    Subscription(SubscriptionId),
}

impl Job for Settle {
    const NAME: &'static str = "settle";
    /// Only for failures of Postgres: a missing answer of the gateway is not a failure of the job.
    const MAX_ATTEMPTS: i32 = 10;

    fn subject(&self) -> Uuid {
        match self {
            Self::Payment(PaymentId(id)) | Self::Refund(RefundId(id)) | Self::Subscription(SubscriptionId(id)) => *id,
        }
    }
}
