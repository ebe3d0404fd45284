//! Ticket imports. The upload and its job are stored in one transaction, and a worker then stores the rows in batches.
//!
//! Each batch is one transaction: rows are marked as imported by their key, new ones become tickets with a comment and
//! an activity, invalid rows are recorded, and the operation's progress advances. The progress is therefore the
//! checkpoint. After a worker crashes, the next one skips the completed rows, and no row is stored twice.

mod batch;
mod run;

use crate::support::import::job::ImportTickets;

use crate::operations::id::OperationId;
use crate::{
    identity::account::ops as accounts,
    operations::{
        events::OperationFinished,
        model::{Failure, Operation},
        ops as operation,
    },
    support::import::{
        model::{Format, ReadOptions},
        store,
    },
};
use mainstay_kernel::{
    app::App,
    caller::Visibility,
    error::{Error, Reason, Result},
    events::Event,
    id::AccountId,
    queue as jobs,
    unit_of_work::Work,
    upload::Upload,
};

pub use run::{Outcome, run};

/// Stores an uploaded file and the job that imports it.
///
/// # Errors
/// `NOT_FOUND` if the account is unknown.
pub async fn begin(
    work: &mut Work,
    account: AccountId,
    (format, options): (Format, ReadOptions),
    mut file: Upload,
) -> Result<Operation> {
    let (permit, now) = (work.permit()?, work.now());
    accounts::check_open(work, vec![account]).await?;
    let connection = work.connection().await?;
    let began = Operation::import(permit.caller().principal(), account, format, now);
    operation::insert(connection, &began).await?;
    let mut position = 0;
    while let Some(piece) = file.next().await? {
        store::append(connection, began.id, position, &piece).await?;
        position += 1;
    }
    let job = ImportTickets { operation: began.id, role: permit.caller().role() as i16, options };
    jobs::enqueue(connection, &job).await?;
    Ok(began)
}

/// Fails an operation whose job will not run again. An operation that has ended is left unchanged.
///
/// # Errors
/// `UNAVAILABLE` if Postgres is unreachable.
pub async fn abandon(app: &App, id: OperationId) -> Result<()> {
    let now = app.clock.now();
    let message = "The import failed repeatedly and was given up; what was stored stays stored.";
    let failure = Failure::new(Reason::InternalError, message);
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let operation = operation::read(work.connection().await?, Visibility::All, id).await?;
        end(work, &operation.fail(failure, now)?).await
    });
    match transaction.await {
        Err(error) if error.reason() == Reason::NotFound => Ok(()),
        Err(error) if error.reason() == Reason::Conflict => unless_ended(app, id, error).await,
        result => result,
    }
}

/// Returns the conflict unless the operation has ended. In an operation that has not ended, a worker that was presumed
/// dead has stored a batch. It may not survive to store the next one, so that the job must run again.
async fn unless_ended(app: &App, id: OperationId, conflict: Error) -> Result<()> {
    let read = app.database.autocommit(async move |connection| operation::read(connection, Visibility::All, id).await);
    match read.await {
        Ok(operation) if operation.state.finished_at().is_none() => Err(conflict),
        Ok(_) => Ok(()),
        Err(error) if error.reason() == Reason::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Ends an import that was canceled, and removes its job. A worker that is running it notices at its next batch.
///
/// # Errors
/// `CONFLICT` if the operation was changed concurrently.
pub(crate) async fn cancel(work: &mut Work, cancelled: &Operation) -> Result<()> {
    jobs::cancel::<ImportTickets>(work.connection().await?, cancelled.id.0).await?;
    end(work, cancelled).await
}

/// Stores an operation that ended, discards its file, and publishes the event.
///
/// # Errors
/// `CONFLICT` if the operation was changed concurrently.
pub(crate) async fn end(work: &mut Work, operation: &Operation) -> Result<()> {
    let connection = work.connection().await?;
    operation::update(connection, operation).await?;
    store::discard(connection, operation.id).await?;
    work.publish(Event::of::<OperationFinished>(operation.account, operation.id.0, operation.version));
    Ok(())
}
