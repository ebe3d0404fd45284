//! The job that aligns the refunds of a payment with those of the gateway, repeated until they match.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::payments::id::PaymentId;
use mainstay_kernel::queue::Job;

/// Queries the gateway for refunds of a charge that were made there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncRefunds {
    pub payment: PaymentId,
    /// The number of attempts so far.
    pub attempts: u32,
}

impl SyncRefunds {
    /// Makes the first job for a payment.
    pub fn new(payment: PaymentId) -> Self {
        Self { payment, attempts: 0 }
    }
}

impl Job for SyncRefunds {
    const NAME: &'static str = "sync_refunds";
    /// Counts failures of Postgres only: a missing answer of the gateway reschedules the job and is not a failure.
    const MAX_ATTEMPTS: i32 = 10;

    fn subject(&self) -> Uuid {
        self.payment.0
    }
}
