//! Makes tickets from an uploaded file, batch by batch, each with the place where the next run goes on.

use futures_util::FutureExt as _;
use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use serde::{Deserialize, Serialize};

use crate::{
    app::App,
    domain::import,
    error::{Error, Reason},
    id::OperationId,
    ops::operation as ops,
};

/// The house, as the worker hands it to its jobs.
#[derive(Debug, Clone)]
pub(super) struct House(pub(super) App);

/// The job.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ImportTickets {
    operation: OperationId,
}

/// Rows of one transaction.
const BATCH: usize = 500;

/// A job that killed its worker so often is poison; it is given up and said so.
const MAX_ATTEMPTS: i16 = 5;

impl TaskHandler for ImportTickets {
    const IDENTIFIER: &'static str = super::IMPORT_TICKETS;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let House(app) = context.get_ext::<House>().ok_or("the worker has no house")?.clone();
        let attempts = *context.job().attempts();
        let done = self.import(&app).await;
        let Err(error) = done else { return Ok(()) };
        // A conflict means that another worker is at it, which will end it.
        let last = attempts >= MAX_ATTEMPTS;
        tracing::error!(operation = %self.operation, attempts, cause = ?error.source(), code = error.reason().facts().code, "import failed");
        if last {
            let message = "The import failed again and again; the rows before the last progress are stored.";
            self.end(&app, Some((Reason::InternalError, message.to_owned())))
                .await
                .map_err(|_| "could not be ended")?;
            return Ok(());
        }
        Err::<(), &str>(error.reason().facts().code)
    }
}

impl ImportTickets {
    async fn import(&self, app: &App) -> Result<(), Error> {
        let (id, now) = (self.operation, app.clock.now());
        let resumed = app.database.write(move |connection| ops::resume(connection, id, now).boxed()).await;
        let (operation, file) = match resumed {
            Ok(Some(resumed)) => resumed,
            // It has ended, or is gone: nothing to do, and no reason to come back.
            Ok(None) => return Ok(()),
            Err(error) if error.reason() == Reason::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut entries = match import::read(operation.format, &file) {
            Ok(entries) => entries.skip(usize::try_from(operation.progress.done).unwrap_or(usize::MAX)),
            Err(message) => return self.end(app, Some((Reason::ValidationFailed, message))).await,
        };
        let mut done = operation.progress.done;
        loop {
            let batch: Vec<_> = entries.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                return self.end(app, None).await;
            }
            let (first, now) = (done, app.clock.now());
            done += i64::try_from(batch.len()).unwrap_or(i64::MAX);
            app.database.write(move |connection| ops::import_rows(connection, id, first, batch, now).boxed()).await?;
        }
    }

    async fn end(&self, app: &App, failure: Option<(Reason, String)>) -> Result<(), Error> {
        let (id, now) = (self.operation, app.clock.now());
        app.database.write(move |connection| ops::finish(connection, id, failure, now).boxed()).await
    }
}
