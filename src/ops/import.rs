//! Imports: the upload is stored with its job in one transaction; a worker then stores the rows batch by batch.
//!
//! A batch is one transaction: rows are claimed by what they are known by, the new ones become tickets with comment and
//! activity, the wrong ones are recorded, and the operation's progress moves on. So the progress is the checkpoint: a
//! worker that dies is followed by one that skips what is done, and a row that was stored is never stored again.

mod batch;
mod run;
mod spool;

use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;

use crate::{
    app::App,
    caller::{Permit, Visibility},
    domain::{
        import::Format,
        operation::{Failure, Operation},
        webhook::{Event, EventKind},
    },
    error::{Reason, Result},
    id::{AccountId, OperationId},
    jobs,
    ops::webhook,
    store::{Connection, import as store, operation},
};

pub use run::{Outcome, run};
pub use spool::Spool;

/// Stores an uploaded file with the job that makes tickets of it.
///
/// # Errors
/// `NOT_FOUND` for an unknown account.
pub async fn begin(
    connection: &mut Connection,
    permit: Permit,
    account: AccountId,
    format: Format,
    mut file: Spool,
    now: DateTime<Utc>,
) -> Result<Operation> {
    let began = Operation::import(permit.caller().principal(), account, format, now);
    operation::insert(connection, &began).await?;
    let mut position = 0;
    while let Some(piece) = file.next().await? {
        store::append(connection, began.id, position, &piece).await?;
        position += 1;
    }
    let job = jobs::ImportTickets { operation: began.id, role: permit.caller().role() as i16 };
    jobs::enqueue(connection, &job).await?;
    Ok(began)
}

/// Ends an operation that no worker will end any more. One that ended meanwhile stays as it is.
///
/// # Errors
/// `UNAVAILABLE` while Postgres is away.
pub async fn abandon(app: &App, id: OperationId) -> Result<()> {
    let now = app.clock.now();
    let message = "The import failed repeatedly and was given up; what was stored stays stored.";
    let failure = Failure::new(Reason::InternalError, message);
    let ended = app.database.write(move |connection| {
        async move {
            let found = operation::get(connection, Visibility::All, id).await?;
            end(connection, &found.fail(failure, now)?, now).await
        }
        .boxed()
    });
    match ended.await {
        Err(error) if matches!(error.reason(), Reason::Conflict | Reason::NotFound) => Ok(()),
        ended => ended,
    }
}

/// Stores an operation that ended: its file goes, and whoever wants to know is told.
///
/// # Errors
/// `CONFLICT` when somebody else moved it on meanwhile.
pub(super) async fn end(connection: &mut Connection, ended: &Operation, now: DateTime<Utc>) -> Result<()> {
    operation::update(connection, ended).await?;
    store::discard(connection, ended.id).await?;
    let kind = EventKind::OperationFinished;
    let told = Event { kind, account: ended.account, resource: ended.id.0, version: ended.version };
    webhook::publish(connection, &[told], now).await
}
