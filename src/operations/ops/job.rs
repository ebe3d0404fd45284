//! The job of an operation. The progress is the checkpoint: after a worker dies, the next one continues after the steps
//! that are stored, and no step is stored twice.

use mainstay_kernel::{
    app::App,
    caller::Visibility,
    error::{Error, Reason, Result},
    events::Event,
    queue::{self, Handler, Job, Lane},
    unit_of_work::Work,
};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    kind::{End, OperationKind},
    run::Run,
    update,
};
use crate::operations::{
    events::OperationFinished,
    id::OperationId,
    model::{Failure, Operation},
    store,
};

/// The job that carries out an operation.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct RunOperation<K> {
    pub operation: OperationId,
    #[serde(flatten)]
    pub request: K,
}

impl<K: OperationKind> Job for RunOperation<K> {
    const NAME: &'static str = K::NAME;
    const MAX_ATTEMPTS: i32 = K::MAX_ATTEMPTS;
    const LANE: Lane = K::LANE;

    fn subject(&self) -> Uuid {
        self.operation.0
    }
}

impl<K: OperationKind> Handler for RunOperation<K> {
    async fn run(self, app: &App, stop: &CancellationToken) -> Result<()> {
        let (operation, kind) = (self.operation, K::NAME);
        match run(app, &self, stop).await? {
            Outcome::Ended => tracing::info!(%operation, kind, "an operation ended"),
            Outcome::HandedBack => {
                tracing::info!(%operation, kind, "an operation stops here; a job for its rest is queued");
            }
        }
        Ok(())
    }

    async fn give_up(self, app: &App) -> Result<()> {
        abandon::<K>(app, self.operation).await
    }
}

/// The outcome of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The operation has ended.
    Ended,
    /// The worker is stopping; a job for the rest is queued.
    HandedBack,
}

/// Carries out an operation from its checkpoint, until it ends or `stop` is cancelled.
///
/// # Errors
/// Any error that prevented a step; the next run continues there. `CONFLICT` if another worker, which may have been
/// presumed dead, stored a step meanwhile; the present step is then not stored.
pub async fn run<K: OperationKind>(app: &App, job: &RunOperation<K>, stop: &CancellationToken) -> Result<Outcome> {
    match run_on(app, job, stop).await {
        Err(error) if error.reason() == Reason::Conflict => {
            unless_ended(app, job.operation, error).await.map(|()| Outcome::Ended)
        }
        ran => ran,
    }
}

async fn run_on<K: OperationKind>(app: &App, job: &RunOperation<K>, stop: &CancellationToken) -> Result<Outcome> {
    let operation = match read(app, job.operation).await {
        // The operation was deleted with its account, or removed after an earlier run had ended it.
        Err(error) if error.reason() == Reason::NotFound => return Ok(Outcome::Ended),
        result => result?,
    };
    if operation.state.finished_at().is_some() {
        return Ok(Outcome::Ended);
    }
    let mut run = Run { app, stop, operation };
    let ended = match job.request.run(&mut run).await? {
        End::Succeeded => run.operation.succeed(app.clock.now())?,
        End::Failed(failure) => run.operation.fail(failure, app.clock.now())?,
        End::Stopped => {
            app.database.autocommit(async move |connection| queue::enqueue(connection, job).await).await?;
            return Ok(Outcome::HandedBack);
        }
    };
    let transaction = app.database.transaction(async move |work: &mut Work| {
        end::<K>(work, &ended).await?;
        Ok::<_, Error>(Outcome::Ended)
    });
    transaction.await
}

/// Stores an operation that ended, removes what its work needed, and publishes the event.
///
/// # Errors
/// `CONFLICT` if the operation was changed concurrently.
pub(super) async fn end<K: OperationKind>(work: &mut Work, operation: &Operation) -> Result<()> {
    update(work.connection().await?, operation).await?;
    K::ended(work, operation).await?;
    work.publish(Event::of::<OperationFinished>(operation.account, operation.id.0, operation.version));
    Ok(())
}

async fn read(app: &App, id: OperationId) -> Result<Operation> {
    app.database.autocommit(async move |connection| store::get(connection, Visibility::All, &[], id).await).await
}

/// Fails an operation whose job will not run again. An operation that has ended is left unchanged.
async fn abandon<K: OperationKind>(app: &App, id: OperationId) -> Result<()> {
    let now = app.clock.now();
    let failure = Failure::new(Reason::InternalError, K::GIVEN_UP);
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let operation = store::get(work.connection().await?, Visibility::All, &[], id).await?;
        end::<K>(work, &operation.fail(failure, now)?).await
    });
    match transaction.await {
        Err(error) if error.reason() == Reason::NotFound => Ok(()),
        Err(error) if error.reason() == Reason::Conflict => unless_ended(app, id, error).await,
        result => result,
    }
}

/// Returns the conflict unless the operation has ended. In an operation that has not ended, a worker that was presumed
/// dead has stored a step. It may not survive to store the next one, so that the job must run again.
async fn unless_ended(app: &App, id: OperationId, conflict: Error) -> Result<()> {
    match read(app, id).await {
        Ok(operation) if operation.state.finished_at().is_none() => Err(conflict),
        Ok(_) => Ok(()),
        Err(error) if error.reason() == Reason::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
