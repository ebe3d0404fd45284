//! Brings the refunds of a payment in line with the gateway's, until they are.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Job;
use crate::id::PaymentId;

/// The job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncRefunds {
    /// The payment.
    pub payment: PaymentId,
    /// How often it was looked at in vain.
    pub tries: u32,
}

impl SyncRefunds {
    /// For a payment.
    pub fn new(payment: PaymentId) -> Self {
        Self { payment, tries: 0 }
    }
}

impl Job for SyncRefunds {
    const NAME: &'static str = "sync_refunds";
    /// It is not tried again for want of the gateway's word, which is no failure of the job, but for want of Postgres.
    const MAX_ATTEMPTS: i32 = 10;

    fn subject(&self) -> Uuid {
        self.payment.0
    }
}
