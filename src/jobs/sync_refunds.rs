//! Brings the refunds of a payment in line with the gateway's, until they are.

use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use serde::{Deserialize, Serialize};

use super::{Job, worker::House};
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

    fn key(&self) -> String {
        format!("sync_refunds:{}", self.payment)
    }

    async fn give_up(self, _: &App) -> Result<()> {
        sync::given_up(self.payment);
        Ok(())
    }
}

impl TaskHandler for SyncRefunds {
    const IDENTIFIER: &'static str = <Self as Job>::NAME;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let house = House::of(&context)?;
        sync::sync(&house.app, self).await.map_err(|error| super::text(&error))
    }
}
