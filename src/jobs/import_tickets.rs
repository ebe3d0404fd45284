//! Makes tickets of an uploaded file.

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Job, Lane};
use crate::{
    app::App,
    error::{Reason, Result},
    id::OperationId,
    ops::import,
};

/// The job.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ImportTickets {
    /// The operation that holds the file.
    pub operation: OperationId,
    /// The number of the role it was asked for in.
    pub role: i16,
}

impl Job for ImportTickets {
    const NAME: &'static str = "import_tickets";
    const MAX_ATTEMPTS: i32 = 5;
    const LANE: Lane = Lane::Imports;

    fn subject(&self) -> Uuid {
        self.operation.0
    }

    async fn run(self, app: &App, stop: &CancellationToken) -> Result<()> {
        match import::run(app, self, stop).await {
            Ok(outcome) => {
                tracing::info!(operation = %self.operation, ?outcome, "import left");
                Ok(())
            }
            // Another worker took over while this one was thought dead, or somebody cancelled the operation.
            Err(error) if error.reason() == Reason::Conflict => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn give_up(self, app: &App) -> Result<()> {
        import::abandon(app, self.operation).await
    }
}
