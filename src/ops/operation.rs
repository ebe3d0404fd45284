//! Operations: whoever began one looks at it and may end it, and so does an admin.

use chrono::{DateTime, Utc};

use super::import;
use crate::{
    caller::Permit,
    domain::{
        operation::{Kind, Operation, RowError},
        page::{Start, Total},
        version::Expected,
    },
    error::Result,
    id::OperationId,
    jobs::{self, ImportTickets},
    store::{Connection, operation as store},
};

/// One operation.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &mut Connection, permit: Permit, id: OperationId) -> Result<Operation> {
    store::get(connection, permit.visibility(), id).await
}

/// Ends an operation before its time. A worker that is at it finds out when it would store its next batch, which then is
/// not stored; what was stored stays.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`, `BUSINESS_RULE_VIOLATION` when it succeeded or failed.
pub async fn cancel(
    connection: &mut Connection,
    permit: Permit,
    id: OperationId,
    expected: Option<Expected>,
    now: DateTime<Utc>,
) -> Result<Operation> {
    let operation = store::lock(connection, permit.visibility(), id).await?;
    Expected::check(expected.as_ref(), operation.version)?;
    let Some(cancelled) = operation.clone().cancel(now)? else { return Ok(operation) };
    match cancelled.kind {
        Kind::ImportTickets => {
            jobs::cancel::<ImportTickets>(connection, id.0).await?;
            import::end(connection, &cancelled, now).await?;
        }
    }
    Ok(cancelled)
}

/// A page of operations, one more than asked for if there are more, and how many there are if that was asked.
///
/// # Errors
/// What Postgres answers.
pub async fn list(
    connection: &mut Connection,
    permit: Permit,
    start: Start,
    limit: i64,
) -> Result<(Vec<Operation>, Option<Total>)> {
    let total = match start {
        Start::Offset(_) => Some(store::total(connection, permit.visibility()).await?),
        Start::After(_) => None,
    };
    Ok((store::list(connection, permit.visibility(), start, limit + 1).await?, total))
}

/// A page of an operation's wrong rows, one more than asked for if there are more, and how many there are.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn errors(
    connection: &mut Connection,
    permit: Permit,
    id: OperationId,
    start: Start,
    limit: i64,
) -> Result<(Vec<RowError>, Option<Total>)> {
    let operation = store::get(connection, permit.visibility(), id).await?;
    let total = match start {
        Start::Offset(_) => Some(Total::exact(operation.progress.failed)),
        Start::After(_) => None,
    };
    Ok((store::errors(connection, id, start, limit + 1).await?, total))
}
