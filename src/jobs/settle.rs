//! Finishes a payment or a refund that nobody else has finished.

use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use serde::{Deserialize, Serialize};

use super::{Job, worker::House};
use crate::{
    app::App,
    error::{Error, Result},
    id::{PaymentId, RefundId},
    ops::settle::{self, Turn},
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

    async fn go(self, app: &App) -> Result<()> {
        match settle::take_over(app, self).await {
            Ok(Turn::Mine(work)) => {
                settle::attend(app, *work).await;
                Ok(())
            }
            // Whoever is at it may die of it, so this comes back when their time is over.
            Ok(Turn::Theirs(until)) => settle::later(app, self, until).await,
            Ok(Turn::Over) => Ok(()),
            Err(error) if settle::is_gone(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl TaskHandler for Settle {
    const IDENTIFIER: &'static str = <Self as Job>::NAME;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let house = House::of(&context)?;
        self.go(&house.app).await.map_err(|error: Error| super::worker::text(&error))
    }
}
