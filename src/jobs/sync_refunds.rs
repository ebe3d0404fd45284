//! Brings the refunds of a payment in line with the gateway's, until they are.

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Job;
use crate::{app::App, error::Result, id::PaymentId, ops::refund::sync};

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

    async fn run(self, app: &App, _: &CancellationToken) -> Result<()> {
        sync::sync(app, self).await
    }

    async fn give_up(self, _: &App) -> Result<()> {
        sync::given_up(self.payment);
        Ok(())
    }
}
