//! The jobs that finish a pending payment or refund.

use mainstay_kernel::queue::Job;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::payments::id::{PaymentId, RefundId};

/// The number of attempts. Only for failures of Postgres: a missing answer of the gateway is not a failure of the job.
pub const MAX_ATTEMPTS: i32 = 10;

/// Settles a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettlePayment(pub PaymentId);

impl Job for SettlePayment {
    const NAME: &'static str = "settle_payment";
    const MAX_ATTEMPTS: i32 = MAX_ATTEMPTS;

    fn subject(&self) -> Uuid {
        self.0.0
    }
}

/// Settles a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettleRefund(pub RefundId);

impl Job for SettleRefund {
    const NAME: &'static str = "settle_refund";
    const MAX_ATTEMPTS: i32 = MAX_ATTEMPTS;

    fn subject(&self) -> Uuid {
        self.0.0
    }
}
