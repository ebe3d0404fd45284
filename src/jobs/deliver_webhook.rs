//! Sends an event to an endpoint.

use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use serde::{Deserialize, Serialize};

use super::{Job, Lane, worker::House};
use crate::{
    app::App,
    error::{Reason, Result},
    id::WebhookDeliveryId,
    ops::webhook::delivery,
};

/// The job: one attempt. The next one is a job of its own, at its own time; this one is tried again only when what
/// became of it could not be written down.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct DeliverWebhook {
    /// The delivery.
    pub delivery: WebhookDeliveryId,
}

impl DeliverWebhook {
    /// What its keys begin with; the delivery's id follows.
    pub const KEY_PREFIX: &str = "deliver_webhook:";
}

impl Job for DeliverWebhook {
    const NAME: &'static str = "deliver_webhook";
    const MAX_ATTEMPTS: i32 = 8;
    const LANE: Lane = Lane::Webhooks;

    fn key(&self) -> String {
        format!("{}{}", Self::KEY_PREFIX, self.delivery)
    }

    async fn give_up(self, app: &App) -> Result<()> {
        delivery::give_up(app, self.delivery).await
    }
}

impl TaskHandler for DeliverWebhook {
    const IDENTIFIER: &'static str = <Self as Job>::NAME;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let house = House::of(&context)?;
        match delivery::deliver(&house.app, self.delivery).await {
            Ok(()) => Ok(()),
            // Its endpoint was removed, and it with it.
            Err(error) if error.reason() == Reason::NotFound => Ok(()),
            Err(error) => Err(super::text(&error)),
        }
    }
}
