//! Works on what a provider told us.

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Job;
use crate::{app::App, error::Result, id::InboundEventId, ops::inbound_event};

/// The job.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ProcessInboundEvent {
    /// The event.
    pub event: InboundEventId,
}

impl Job for ProcessInboundEvent {
    const NAME: &'static str = "process_inbound_event";
    /// Over half an hour.
    const MAX_ATTEMPTS: i32 = 8;

    fn subject(&self) -> Uuid {
        self.event.0
    }

    async fn run(self, app: &App, _: &CancellationToken) -> Result<()> {
        let state = inbound_event::process(app, self.event).await?;
        tracing::info!(event = %self.event, ?state, "an inbound event was worked on");
        Ok(())
    }

    async fn give_up(self, app: &App) -> Result<()> {
        inbound_event::give_up(app, self.event).await
    }
}
