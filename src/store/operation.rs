//! Operations, their files and their wrong rows.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{
    Connection,
    condition::Condition,
    schema::{operation_errors, operations, upload_chunks},
};
use crate::{
    caller::Visibility,
    domain::{
        operation::{Format, Kind, Operation, Progress, RowError, State},
        page::Start,
    },
    error::{Error, Result},
    id::{AccountId, OperationId},
};

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = operations, treat_none_as_null = true)]
struct Row {
    id: OperationId,
    kind: i16,
    state: i16,
    owner_id: Uuid,
    account_id: AccountId,
    format: i16,
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

impl From<Operation> for Row {
    fn from(operation: Operation) -> Self {
        let (failure_code, failure_message) = operation.failure.unzip();
        let Progress { total, done, created, known, failed } = operation.progress;
        Self {
            id: operation.id,
            kind: operation.kind.number(),
            state: operation.state.number(),
            owner_id: operation.owner,
            account_id: operation.account,
            format: operation.format.number(),
            rows_total: total,
            rows_done: done,
            rows_created: created,
            rows_known: known,
            rows_failed: failed,
            failure_code,
            failure_message,
            version: operation.version,
            created_at: operation.created_at,
            updated_at: operation.updated_at,
            finished_at: operation.finished_at,
        }
    }
}

impl TryFrom<Row> for Operation {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let broken =
            |column: &str| Error::internal(anyhow::anyhow!("operations {}: {column} breaks its check", row.id));
        Ok(Self {
            id: row.id,
            kind: Kind::from_number(row.kind.into()).ok_or_else(|| broken("kind"))?,
            state: State::from_number(row.state.into()).ok_or_else(|| broken("state"))?,
            owner: row.owner_id,
            account: row.account_id,
            format: Format::from_number(row.format.into()).ok_or_else(|| broken("format"))?,
            progress: Progress {
                total: row.rows_total,
                done: row.rows_done,
                created: row.rows_created,
                known: row.rows_known,
                failed: row.rows_failed,
            },
            failure: row.failure_code.zip(row.failure_message),
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
            finished_at: row.finished_at,
        })
    }
}

/// Stores a new operation and its file.
///
/// # Errors
/// `NOT_FOUND` when the account does not exist.
pub async fn insert(connection: &mut Connection, operation: Operation, file: &[bytes::Bytes]) -> Result<()> {
    let id = operation.id;
    let inserted = diesel::insert_into(operations::table).values(Row::from(operation)).execute(connection).await;
    if let Err(error) = inserted {
        return Err(match super::broken_reference(&error) {
            Some("operations_account_id_fkey") => Error::not_found("account").caused_by(error),
            _ => error.into(),
        });
    }
    for (position, chunk) in (0i32..).zip(file) {
        use upload_chunks::dsl;
        let row = (dsl::operation_id.eq(id), dsl::position.eq(position), dsl::data.eq(chunk.as_ref()));
        diesel::insert_into(upload_chunks::table).values(row).execute(connection).await?;
    }
    Ok(())
}

fn visible<'q>(visibility: Visibility) -> operations::BoxedQuery<'q, diesel::pg::Pg> {
    let query = operations::table.into_boxed();
    match visibility {
        Visibility::All => query,
        Visibility::Account(account) => query.filter(operations::account_id.eq(account)),
        Visibility::Principal(owner) => query.filter(operations::owner_id.eq(owner)),
    }
}

/// One operation the caller reaches.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &mut Connection, visibility: Visibility, id: OperationId) -> Result<Operation> {
    let query = visible(visibility).filter(operations::id.eq(id)).select(Row::as_select());
    let row = query.first(connection).await.optional()?;
    row.ok_or_else(|| Error::not_found("operation"))?.try_into()
}

/// One operation, held until the transaction ends.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn lock(connection: &mut Connection, id: OperationId) -> Result<Operation> {
    let query = operations::table.find(id).select(Row::as_select()).for_update();
    query.first(connection).await.optional()?.ok_or_else(|| Error::not_found("operation"))?.try_into()
}

/// Stores the next version of a locked operation.
pub async fn update(connection: &mut Connection, operation: Operation) -> Result<()> {
    let target = operations::table.find(operation.id).filter(operations::version.eq(operation.version - 1));
    let id = operation.id;
    match diesel::update(target).set(Row::from(operation)).execute(connection).await? {
        1 => Ok(()),
        count => Err(Error::internal(anyhow::anyhow!("operations {id}: update touched {count} rows"))),
    }
}

/// At most `limit` operations, newest first.
pub async fn list(
    connection: &mut Connection,
    visibility: Visibility,
    start: Start,
    limit: i64,
) -> Result<Vec<Operation>> {
    let query = visible(visibility).order((operations::created_at.desc(), operations::id.desc())).limit(limit);
    let query = match start {
        Start::Offset(offset) => query.offset(offset),
        Start::After(key) => query.filter(Condition::beyond("(operations.created_at, operations.id)", true, key)),
    };
    let rows: Vec<Row> = query.select(Row::as_select()).load(connection).await?;
    rows.into_iter().map(Operation::try_from).collect()
}

/// How many operations there are.
pub async fn count(connection: &mut Connection, visibility: Visibility) -> Result<i64> {
    Ok(visible(visibility).count().get_result(connection).await?)
}

/// The file of an operation, whole: it was bounded when it was taken.
pub async fn file(connection: &mut Connection, id: OperationId) -> Result<Vec<u8>> {
    let query = upload_chunks::table.filter(upload_chunks::operation_id.eq(id)).order(upload_chunks::position);
    let chunks: Vec<Vec<u8>> = query.select(upload_chunks::data).load(connection).await?;
    Ok(chunks.concat())
}

/// Removes the file of an operation that ended.
pub async fn delete_file(connection: &mut Connection, id: OperationId) -> Result<()> {
    diesel::delete(upload_chunks::table.filter(upload_chunks::operation_id.eq(id))).execute(connection).await?;
    Ok(())
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = operation_errors)]
struct ErrorRow {
    operation_id: OperationId,
    line: i64,
    code: String,
    message: String,
}

/// Stores wrong rows.
pub async fn insert_errors(connection: &mut Connection, id: OperationId, errors: Vec<RowError>) -> Result<()> {
    let row = |RowError { line, code, message }| ErrorRow { operation_id: id, line, code, message };
    let rows: Vec<_> = errors.into_iter().map(row).collect();
    diesel::insert_into(operation_errors::table).values(&rows).execute(connection).await?;
    Ok(())
}

/// At most `limit` wrong rows, by line.
pub async fn errors(
    connection: &mut Connection,
    id: OperationId,
    after_line: i64,
    offset: i64,
    limit: i64,
) -> Result<Vec<RowError>> {
    let query = operation_errors::table.filter(operation_errors::operation_id.eq(id)).order(operation_errors::line);
    let query = query.filter(operation_errors::line.gt(after_line)).offset(offset).limit(limit);
    let rows: Vec<ErrorRow> = query.select(ErrorRow::as_select()).load(connection).await?;
    Ok(rows.into_iter().map(|ErrorRow { line, code, message, .. }| RowError { line, code, message }).collect())
}
