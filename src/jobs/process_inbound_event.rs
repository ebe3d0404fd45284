//! Works on what a provider told us.

use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use serde::{Deserialize, Serialize};

use super::{Job, worker::House};
use crate::{app::App, error::Result, id::InboundEventId, ops::inbound_event};

/// The job.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ProcessInboundEvent {
    /// The event.
    pub event: InboundEventId,
}

impl ProcessInboundEvent {
    /// What its keys begin with; the event's id follows.
    pub const KEY_PREFIX: &str = "process_inbound_event:";
}

impl Job for ProcessInboundEvent {
    const NAME: &'static str = "process_inbound_event";
    /// Over half an hour.
    const MAX_ATTEMPTS: i32 = 8;

    fn key(&self) -> String {
        format!("{}{}", Self::KEY_PREFIX, self.event)
    }

    async fn give_up(self, app: &App) -> Result<()> {
        inbound_event::give_up(app, self.event).await
    }
}

impl TaskHandler for ProcessInboundEvent {
    const IDENTIFIER: &'static str = <Self as Job>::NAME;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let house = House::of(&context)?;
        match inbound_event::process(&house.app, self.event).await {
            Ok(state) => {
                tracing::info!(event = %self.event, ?state, "an inbound event was worked on");
                Ok(())
            }
            Err(error) => Err(super::text(&error)),
        }
    }
}
