//! Operations: whoever began one looks at it, and so does an admin.

use crate::{
    caller::Permit,
    domain::{
        operation::{Operation, RowError},
        page::{Start, Total},
    },
    error::Result,
    id::OperationId,
    store::{Connection, operation as store},
};

/// One operation.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &mut Connection, permit: Permit, id: OperationId) -> Result<Operation> {
    store::get(connection, permit.visibility(), id).await
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
