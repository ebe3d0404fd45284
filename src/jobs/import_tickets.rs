//! Makes tickets of an uploaded file.

use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use serde::{Deserialize, Serialize};

use super::{Job, worker::House};
use crate::{
    app::App,
    error::{Reason, Result},
    id::OperationId,
    ops::import,
    store::{Connection, queue},
};

/// The job.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ImportTickets {
    /// The operation that holds the file.
    pub operation: OperationId,
    /// The number of the role it was asked for in.
    pub role: i16,
}

impl ImportTickets {
    /// What its keys begin with; the operation's id follows.
    pub const KEY_PREFIX: &str = "import_tickets:";

    /// Takes the job of an operation back that waits. One that runs goes on, and finds nothing to do.
    ///
    /// # Errors
    /// What Postgres answers.
    pub async fn cancel(connection: &mut Connection, operation: OperationId) -> Result<()> {
        queue::remove(connection, &format!("{}{operation}", Self::KEY_PREFIX)).await
    }
}

impl Job for ImportTickets {
    const NAME: &'static str = "import_tickets";
    const MAX_ATTEMPTS: i32 = 5;

    fn key(&self) -> String {
        format!("{}{}", Self::KEY_PREFIX, self.operation)
    }

    async fn give_up(self, app: &App) -> Result<()> {
        import::abandon(app, self.operation).await
    }
}

impl TaskHandler for ImportTickets {
    const IDENTIFIER: &'static str = <Self as Job>::NAME;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let house = House::of(&context)?;
        match import::run(&house.app, self, &house.stop).await {
            Ok(outcome) => {
                tracing::info!(operation = %self.operation, ?outcome, "import left");
                Ok(())
            }
            // Another worker took over while this one was thought dead, or somebody cancelled the operation.
            Err(error) if error.reason() == Reason::Conflict => Ok(()),
            Err(error) => Err(super::worker::text(&error)),
        }
    }
}
