//! Operations: reading them, and the import behind the only kind there is.

use chrono::{DateTime, Utc};

use crate::{
    caller::Permit,
    domain::{
        comment::Comment,
        import::Entry,
        operation::{Format, Operation, RowError, State},
        page::{Start, Total},
        ticket::Ticket,
    },
    error::{Reason, Result},
    fault,
    id::{AccountId, CommentId, OperationId},
    jobs,
    store::{
        Connection,
        import::{self, Identity},
        operation as store, ticket,
    },
};

/// One operation.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &mut Connection, permit: Permit, id: OperationId) -> Result<Operation> {
    store::get(connection, permit.visibility(), id).await
}

/// A page of operations, one more than asked for if there are more.
pub async fn list(
    connection: &mut Connection,
    permit: Permit,
    start: Start,
    limit: i64,
) -> Result<(Vec<Operation>, Option<Total>)> {
    let total = match start {
        Start::Offset(_) => Some(Total::exact(store::count(connection, permit.visibility()).await?)),
        Start::After(_) => None,
    };
    Ok((store::list(connection, permit.visibility(), start, limit + 1).await?, total))
}

/// A page of an operation's wrong rows, one more than asked for if there are more.
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
    let (after_line, offset, total) = match start {
        Start::Offset(offset) => (0, offset, Some(Total::exact(operation.progress.failed))),
        // The key of a wrong row is its line, carried as a time of so many microseconds.
        Start::After(key) => (key.time.timestamp_micros(), 0, None),
    };
    Ok((store::errors(connection, id, after_line, offset, limit + 1).await?, total))
}

/// Takes a file: the operation, the file and the job commit together.
///
/// # Errors
/// `NOT_FOUND` for an unknown account.
pub async fn begin_import(
    connection: &mut Connection,
    permit: Permit,
    account: AccountId,
    format: Format,
    file: Vec<bytes::Bytes>,
    now: DateTime<Utc>,
) -> Result<Operation> {
    let operation = Operation::import(permit.caller().principal(), account, format, now);
    store::insert(connection, operation.clone(), &file).await?;
    jobs::enqueue(connection, jobs::IMPORT_TICKETS, &serde_json::json!({ "operation": operation.id })).await?;
    Ok(operation)
}

/// Takes the operation up, for the first time or again, with its file.
///
/// # Errors
/// `NOT_FOUND`; `None` when it has ended.
pub async fn resume(
    connection: &mut Connection,
    id: OperationId,
    now: DateTime<Utc>,
) -> Result<Option<(Operation, Vec<u8>)>> {
    let operation = store::lock(connection, id).await?;
    if operation.state.is_final() {
        return Ok(None);
    }
    let operation = moved(Operation { state: State::Running, ..operation }, now);
    store::update(connection, operation.clone()).await?;
    Ok(Some((operation, store::file(connection, id).await?)))
}

/// Stores the next rows and how far the operation is with them, in one transaction.
///
/// # Errors
/// `CONFLICT` when another worker is at it: the rows would be counted twice.
pub async fn import_rows(
    connection: &mut Connection,
    id: OperationId,
    first: i64,
    entries: Vec<Entry>,
    now: DateTime<Utc>,
) -> Result<()> {
    let operation = store::lock(connection, id).await?;
    if operation.progress.done != first || operation.state != State::Running {
        return Err(Reason::Conflict.into());
    }
    let mut progress = operation.progress;
    progress.done += i64::try_from(entries.len()).unwrap_or(i64::MAX);
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    for entry in entries {
        match entry.row {
            Ok(row) => {
                let ticket = Ticket::new(operation.account, None, row.content, now);
                let ticket_id = ticket.id;
                let identity = Identity {
                    account_id: operation.account,
                    row_hash: entry.hash.to_vec(),
                    occurrence: entry.occurrence,
                    ticket_id,
                };
                rows.push((identity, ticket, row.answer));
            }
            Err(message) => {
                let line = i64::try_from(entry.line).unwrap_or(i64::MAX);
                errors.push(RowError { line, code: Reason::ValidationFailed.facts().code.to_owned(), message });
            }
        }
    }
    progress.failed += i64::try_from(errors.len()).unwrap_or(i64::MAX);
    let created = store_rows(connection, &rows, now).await?;
    progress.created += created;
    progress.known += i64::try_from(rows.len()).unwrap_or(i64::MAX) - created;
    if !errors.is_empty() {
        store::insert_errors(connection, id, errors).await?;
    }
    fault::point("import.batch")?;
    store::update(connection, moved(Operation { progress, ..operation }, now)).await
}

async fn store_rows(
    connection: &mut Connection,
    rows: &[(Identity, Ticket, Option<String>)],
    now: DateTime<Utc>,
) -> Result<i64> {
    if rows.is_empty() {
        return Ok(0);
    }
    let identities: Vec<_> = rows.iter().map(|(identity, ..)| identity.clone()).collect();
    let new: std::collections::HashSet<_> = import::claim(connection, &identities).await?.into_iter().collect();
    if new.is_empty() {
        return Ok(0);
    }
    let (mut tickets, mut comments) = (Vec::new(), Vec::new());
    for (_, made, answer) in rows.iter().filter(|(_, made, _)| new.contains(&made.id)) {
        let comment = |body: &String| Comment {
            id: CommentId::generate(now),
            ticket: made.id,
            author: None,
            author_role: 0,
            body: body.clone(),
            created_at: now,
        };
        comments.extend(answer.as_ref().map(comment));
        tickets.push(made.clone());
    }
    ticket::insert(connection, &tickets).await?;
    import::insert_history(connection, &tickets, &comments).await?;
    Ok(i64::try_from(new.len()).unwrap_or(i64::MAX))
}

/// Ends an operation; its file is removed with it.
pub async fn finish(
    connection: &mut Connection,
    id: OperationId,
    failure: Option<(Reason, String)>,
    now: DateTime<Utc>,
) -> Result<()> {
    let operation = store::lock(connection, id).await?;
    if operation.state.is_final() {
        return Ok(());
    }
    let failure = failure.map(|(reason, message)| (reason.facts().code.to_owned(), message));
    let state = if failure.is_some() { State::Failed } else { State::Succeeded };
    let mut progress = operation.progress;
    progress.total = progress.done;
    store::delete_file(connection, id).await?;
    store::update(connection, moved(Operation { state, failure, progress, finished_at: Some(now), ..operation }, now))
        .await
}

fn moved(operation: Operation, now: DateTime<Utc>) -> Operation {
    Operation { version: operation.version + 1, updated_at: now, ..operation }
}
