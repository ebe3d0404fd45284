//! Finishes a payment or a refund that nobody else has finished.

use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use serde::{Deserialize, Serialize};

use super::{Job, worker::House};
use crate::{
    id::{PaymentId, RefundId},
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
    /// The id of the payment or the refund.
    pub fn id(&self) -> uuid::Uuid {
        match self {
            Self::Payment(PaymentId(id)) | Self::Refund(RefundId(id)) => *id,
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
