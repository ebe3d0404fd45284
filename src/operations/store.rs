//! Operations and their invalid rows.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Text, Timestamptz, Uuid},
};
use diesel_async::RunQueryDsl;

use crate::operations::id::OperationId;
use crate::{
    operations::model::{ACROSS_ACCOUNTS, Failure, Operation, Progress, RowError, State, Status},
    schema::{operation_errors, operations},
};
use mainstay_kernel::{
    caller::Visibility,
    database::{
        Connection, convert,
        integrity::{corrupt, one_row},
        seek::listed,
        statement::Prepare as _,
        visibility::visible,
    },
    error::{Error, Reason, Result},
    id::AccountId,
    page::{Listed, Page, Start},
};

#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = operations, treat_none_as_null = true, treat_none_as_default_value = false)]
struct Row {
    id: OperationId,
    kind: Option<i16>,
    kind_name: String,
    state: i16,
    owner_id: uuid::Uuid,
    account_id: Option<AccountId>,
    rows_total: i64,
    rows_done: i64,
    rows_created: i64,
    rows_known: i64,
    rows_failed: i64,
    failure_code: Option<String>,
    failure_message: Option<String>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

impl From<&Operation> for Row {
    fn from(operation: &Operation) -> Self {
        let Operation { state, progress, .. } = operation;
        Self {
            id: operation.id,
            kind: operation.kind_number,
            kind_name: operation.kind.clone().into_owned(),
            state: state.status().number(),
            owner_id: operation.owner,
            account_id: Some(operation.account).filter(|account| *account != ACROSS_ACCOUNTS),
            rows_total: progress.total,
            rows_done: progress.rows_done(),
            rows_created: progress.created,
            rows_known: progress.known,
            rows_failed: progress.failed,
            failure_code: state.failure().map(|failure| failure.code.clone()),
            failure_message: state.failure().map(|failure| failure.message.clone()),
            version: operation.version,
            created_at: operation.created_at,
            updated_at: operation.updated_at,
            finished_at: state.finished_at(),
        }
    }
}

impl TryFrom<Row> for Operation {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let failure = row.failure_code.zip(row.failure_message).map(|(code, message)| Failure { code, message });
        let state = match (Status::from_number(row.state.into()), row.finished_at, failure) {
            (Some(Status::Pending), None, None) => State::Pending,
            (Some(Status::Running), None, None) => State::Running,
            (Some(Status::Succeeded), Some(at), None) => State::Succeeded { at },
            (Some(Status::Failed), Some(at), Some(failure)) => State::Failed { at, failure },
            (Some(Status::Cancelled), Some(at), None) => State::Cancelled { at },
            _ => return Err(corrupt("operations", row.id, "state")),
        };
        Ok(Self {
            id: row.id,
            kind: row.kind_name.into(),
            kind_number: row.kind,
            state,
            owner: row.owner_id,
            account: row.account_id.unwrap_or(ACROSS_ACCOUNTS),
            progress: Progress {
                total: row.rows_total,
                created: row.rows_created,
                known: row.rows_known,
                failed: row.rows_failed,
            },
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

visible!(operations, owner_id);

/// Selects the operations that a caller reaches, without those of hidden kinds.
fn readable<'q>(visibility: Visibility, hidden: &[&'static str]) -> Boxed<'q> {
    match hidden {
        [] => visible(visibility),
        hidden => visible(visibility).filter(operations::kind_name.ne_all(hidden.to_vec())),
    }
}

/// Returns one operation that is visible to the caller.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(
    connection: &Connection,
    visibility: Visibility,
    hidden: &[&'static str],
    id: OperationId,
) -> Result<Operation> {
    let query = readable(visibility, hidden).filter(operations::id.eq(id)).select(Row::as_select());
    convert::found::<Row, _>(query.first(&mut &*connection).await, "operation")
}

/// Returns the operations with these ids, in no particular order.
pub async fn get_batch(connection: &mut Connection, ids: &[OperationId]) -> Result<Vec<Operation>> {
    let query = operations::table.filter(operations::id.eq_any(ids)).select(Row::as_select());
    convert::all::<Row, _>(query.load(connection).await)
}

/// Returns one operation that is visible to the caller, locked until the transaction ends.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn lock(
    connection: &mut Connection,
    visibility: Visibility,
    hidden: &[&'static str],
    id: OperationId,
) -> Result<Operation> {
    // A boxed query has no lock clause, so visibility is checked on the row. The error is the same.
    let query = operations::table.find(id).select(Row::as_select()).for_no_key_update();
    let row: Option<Row> = query.first(connection).await.optional()?;
    let account = |row: &Row| row.account_id.unwrap_or(ACROSS_ACCOUNTS);
    let is_hidden = |row: &Row| hidden.iter().any(|kind| *kind == row.kind_name);
    let row = row.filter(|row| visibility.reaches(account(row), row.owner_id) && !is_hidden(row));
    row.ok_or_else(|| Error::not_found("operation"))?.try_into()
}

/// Returns a page of operations, newest first.
pub async fn list(
    connection: &Connection,
    visibility: Visibility,
    hidden: &[&'static str],
    page: Page,
) -> Result<Listed<Operation>> {
    listed!(connection, readable(visibility, hidden), operations::created_at, page, Row => Operation)
}

/// Stores a new operation.
///
/// # Errors
/// `NOT_FOUND` when the account does not exist.
pub async fn insert(mut connection: &Connection, operation: &Operation) -> Result<()> {
    match diesel::insert_into(operations::table).values(Row::from(operation)).execute(&mut connection).await {
        Err(error) if mainstay_kernel::database::violated_foreign_key(&error) == Some("operations_account_id_fkey") => {
            Err(Error::not_found("account").caused_by(error))
        }
        inserted => one_row(inserted?, "insert", "operations", operation.id),
    }
}

/// Stores the next version of an operation.
///
/// # Errors
/// `CONFLICT` if another transaction stored a version meanwhile.
pub async fn update(mut connection: &Connection, operation: &Operation) -> Result<()> {
    let target =
        operations::table.filter(operations::id.eq(operation.id)).filter(operations::version.eq(operation.version - 1));
    match diesel::update(target).set(Row::from(operation)).prepared().execute(&mut connection).await? {
        1 => Ok(()),
        _ => Err(Reason::Conflict.into()),
    }
}

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = operation_errors)]
struct ErrorRow {
    line: i64,
    code: String,
    message: String,
}

/// Returns a page of invalid rows of an operation, by line.
pub async fn errors(mut connection: &Connection, operation: OperationId, page: Page) -> Result<Vec<RowError>> {
    let mut query = operation_errors::table.filter(operation_errors::operation_id.eq(operation)).into_boxed();
    query = match page.start {
        Start::Offset(offset) => query.offset(offset),
        Start::After(key) => query.filter(operation_errors::line.gt(key.time.timestamp_micros())),
    };
    let query = query.order(operation_errors::line.asc()).limit(page.size).select(ErrorRow::as_select());
    let rows: Vec<ErrorRow> = query.load(&mut connection).await?;
    Ok(rows.into_iter().map(|ErrorRow { line, code, message }| RowError { line, code, message }).collect())
}

/// Records invalid rows of an operation.
///
/// # Errors
/// `CONFLICT` when another worker has recorded one of them.
pub async fn insert_errors(connection: &mut Connection, operation: OperationId, errors: &[RowError]) -> Result<()> {
    const SQL: &str = "INSERT INTO operation_errors (operation_id, line, code, message) \
                       SELECT $1, line, code, message FROM unnest($2, $3, $4) AS new (line, code, message) \
                       ON CONFLICT DO NOTHING";
    let count = diesel::sql_query(SQL)
        .bind::<Uuid, _>(operation)
        .bind::<Array<BigInt>, _>(errors.iter().map(|error| error.line).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(errors.iter().map(|error| error.code.as_str()).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    if count == errors.len() { Ok(()) } else { Err(Reason::Conflict.into()) }
}

/// Returns at most `limit` operations that have not ended nor changed since `before`, and whose kind is none of these.
pub async fn orphans(
    connection: &mut Connection,
    kinds: Vec<&'static str>,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<OperationId>> {
    let idle = operations::table.filter(operations::finished_at.is_null()).filter(operations::updated_at.lt(before));
    let orphans = idle.filter(operations::kind_name.ne_all(kinds)).order(operations::updated_at);
    Ok(orphans.select(operations::id).limit(limit).load(connection).await?)
}

/// Removes at most `limit` invalid rows of operations that ended before `before`; returns how many. An operation may
/// have a million invalid rows, which one statement that removed them with it might never complete in time.
pub async fn delete_expired_errors(connection: &mut Connection, before: DateTime<Utc>, limit: i64) -> Result<usize> {
    const SQL: &str = "DELETE FROM operation_errors WHERE ctid = ANY (ARRAY( \
                         SELECT operation_errors.ctid FROM operation_errors \
                         JOIN operations ON operations.id = operation_id WHERE operations.finished_at < $1 LIMIT $2))";
    let deleted = diesel::sql_query(SQL).bind::<Timestamptz, _>(before).bind::<BigInt, _>(limit).execute(connection);
    Ok(deleted.await?)
}

/// Removes at most `limit` operations that ended before `before` and have no invalid rows left; returns how many.
pub async fn delete_expired(connection: &mut Connection, before: DateTime<Utc>, limit: i64) -> Result<usize> {
    const SQL: &str = "DELETE FROM operations WHERE id = ANY (ARRAY( \
                         SELECT id FROM operations WHERE finished_at < $1 \
                         AND NOT EXISTS (SELECT FROM operation_errors WHERE operation_id = operations.id) LIMIT $2))";
    let deleted = diesel::sql_query(SQL).bind::<Timestamptz, _>(before).bind::<BigInt, _>(limit).execute(connection);
    Ok(deleted.await?)
}

/// Removes the operations of removed accounts, with their invalid rows.
pub async fn erase(connection: &mut Connection, accounts: &[AccountId]) -> Result<usize> {
    let erased = operations::table.filter(operations::account_id.eq_any(accounts.to_vec()));
    Ok(diesel::delete(erased).execute(connection).await?)
}
