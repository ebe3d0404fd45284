//! SQL of imports: the chunks of uploaded files, and batches of rows with one statement per table.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Binary, Integer, SmallInt, Text, Timestamptz, Uuid},
};
use diesel_async::RunQueryDsl;

use crate::{
    operations::id::OperationId,
    support::id::{CommentId, TicketId},
};
use crate::{
    operations::model::Status as OperationStatus,
    schema::{operations, upload_chunks},
    support::{
        import::model::{Format, Row},
        ticket::model::Status,
    },
};
use mainstay_kernel::{
    contract::policy::Role,
    database::{Connection, integrity::corrupt, statement::Prepare as _},
    error::{Error, Result},
    id::AccountId,
};

/// Stores the format of an uploaded file, beside its operation.
pub async fn set_format(connection: &mut Connection, operation: OperationId, format: Format) -> Result<()> {
    let target = operations::table.find(operation);
    let count = diesel::update(target).set(operations::format.eq(format.number())).execute(connection).await?;
    expect_row_count(count, 1, "operations")
}

/// Returns the format of an uploaded file.
///
/// # Errors
/// `NOT_FOUND` if the operation was removed.
pub async fn format(connection: &mut Connection, operation: OperationId) -> Result<Format> {
    let query = operations::table.find(operation).select(operations::format);
    let format: Option<Option<i16>> = query.first(connection).await.optional()?;
    let format = format.ok_or_else(|| Error::not_found("operation"))?;
    format
        .and_then(|number| Format::from_number(number.into()))
        .ok_or_else(|| corrupt("operations", operation, "format"))
}

/// Stores a chunk of an uploaded file.
pub async fn append(connection: &mut Connection, operation: OperationId, position: i32, data: &[u8]) -> Result<()> {
    use upload_chunks::dsl;
    let row = (dsl::operation_id.eq(operation), dsl::position.eq(position), dsl::data.eq(data));
    let count = diesel::insert_into(upload_chunks::table).values(row).execute(connection).await?;
    expect_row_count(count, 1, "upload_chunks")
}

/// Returns a chunk of an uploaded file; `None` after the last one.
pub async fn chunk(connection: &mut Connection, operation: OperationId, position: i32) -> Result<Option<Vec<u8>>> {
    let query = upload_chunks::table.find((operation, position)).select(upload_chunks::data);
    Ok(query.first(connection).await.optional()?)
}

/// Removes an uploaded file.
pub async fn discard(connection: &mut Connection, operation: OperationId) -> Result<usize> {
    let chunks = upload_chunks::table.filter(upload_chunks::operation_id.eq(operation));
    Ok(diesel::delete(chunks).execute(connection).await?)
}

/// A row to be imported.
#[derive(Debug, Clone)]
pub struct IncomingRow {
    /// The id of the ticket that is created if the row is new.
    pub id: TicketId,
    /// The number of equal rows in the file so far, including this one.
    pub occurrence: i32,
    pub row: Row,
}

/// The origin of an import.
#[derive(Debug, Clone, Copy)]
pub struct Origin {
    /// The account the tickets belong to.
    pub account: AccountId,
    /// The principal that began the import.
    pub actor: uuid::Uuid,
    /// The role in which the import was requested.
    pub role: i16,
}

/// Marks rows as imported and returns those that were not marked before.
///
/// Rows are inserted in the order of their hashes, so that two batches with rows in common can't deadlock. The order of the batches
/// of two imports can differ: `Run::overlap` ends that wait.
pub async fn mark_imported<'r>(
    connection: &mut Connection,
    account: AccountId,
    rows: &'r [IncomingRow],
) -> Result<Vec<&'r IncomingRow>> {
    const SQL: &str = "INSERT INTO imported_rows (account_id, row_hash, occurrence, ticket_id) \
                       SELECT $1, hash, occurrence, id FROM unnest($2, $3, $4) AS new (hash, occurrence, id) \
                       ORDER BY hash, occurrence ON CONFLICT DO NOTHING RETURNING ticket_id";
    let marked: Vec<TicketId> = diesel::sql_query(SQL)
        .bind::<Uuid, _>(account)
        .bind::<Array<Binary>, _>(rows.iter().map(|new| new.row.hash.as_slice()).collect::<Vec<_>>())
        .bind::<Array<Integer>, _>(rows.iter().map(|new| new.occurrence).collect::<Vec<_>>())
        .bind::<Array<Uuid>, _>(rows.iter().map(|new| new.id).collect::<Vec<_>>())
        .columns::<Uuid>()
        .load(connection)
        .await?;
    let marked: std::collections::HashSet<_> = marked.into_iter().collect();
    Ok(rows.iter().filter(|new| marked.contains(&new.id)).collect())
}

/// Stores tickets, in the order of their rows. Tags travel as JSON, because unnest flattens nested arrays.
pub async fn insert_tickets(
    connection: &mut Connection,
    account: AccountId,
    rows: &[&IncomingRow],
    now: DateTime<Utc>,
) -> Result<()> {
    const SQL: &str = "INSERT INTO tickets (id, account_id, subject, body, kind, status, priority, queue, language, \
                         tags, created_at, updated_at) \
                       SELECT id, $1, subject, body, kind, $2, priority, queue, language, \
                         ARRAY(SELECT jsonb_array_elements_text(tags::jsonb)), at, at \
                       FROM unnest($3, $4, $5, $6, $7, $8, $9, $10, $11) \
                         AS new (id, subject, body, kind, priority, queue, language, tags, at)";
    macro_rules! column {
        ($of:expr) => {
            rows.iter().map($of).collect::<Vec<_>>()
        };
    }
    let count = diesel::sql_query(SQL)
        .bind::<Uuid, _>(account)
        .bind::<SmallInt, _>(Status::Open.number())
        .bind::<Array<Uuid>, _>(column!(|new| new.id))
        .bind::<Array<Text>, _>(column!(|new| new.row.content.subject.as_str()))
        .bind::<Array<Text>, _>(column!(|new| new.row.content.body.as_str()))
        .bind::<Array<SmallInt>, _>(column!(|new| new.row.content.kind.number()))
        .bind::<Array<SmallInt>, _>(column!(|new| new.row.content.priority.number()))
        .bind::<Array<Text>, _>(column!(|new| new.row.content.queue.as_str()))
        .bind::<Array<Text>, _>(column!(|new| new.row.content.language.as_str()))
        .bind::<Array<Text>, _>(column!(|new| serde_json::Value::from(new.row.content.tags.clone()).to_string()))
        .bind::<Array<Timestamptz>, _>(times(rows.len(), now))
        .execute(connection)
        .await?;
    expect_row_count(count, rows.len(), "tickets")
}

/// Returns times one microsecond apart and not in the future, so that lists show the rows in their order.
fn times(rows: usize, now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let before = |row: usize| TimeDelta::microseconds(i64::try_from(rows - 1 - row).unwrap_or(0));
    (0..rows).map(|row| now - before(row)).collect()
}

/// Stores the answers in the rows as the first comments of their tickets. The author is unknown.
pub async fn insert_comments(connection: &mut Connection, rows: &[&IncomingRow], now: DateTime<Utc>) -> Result<()> {
    const SQL: &str = "INSERT INTO comments (id, ticket_id, author_role, body, created_at) \
                       SELECT id, ticket_id, $1, body, $2 FROM unnest($3, $4, $5) AS new (id, ticket_id, body)";
    let answered: Vec<_> = rows.iter().filter_map(|new| Some((new.id, new.row.answer.as_deref()?))).collect();
    if answered.is_empty() {
        return Ok(());
    }
    let count = diesel::sql_query(SQL)
        .bind::<SmallInt, _>(Role::Unspecified as i16)
        .bind::<Timestamptz, _>(now)
        .bind::<Array<Uuid>, _>(answered.iter().map(|_| CommentId::generate(now)).collect::<Vec<_>>())
        .bind::<Array<Uuid>, _>(answered.iter().map(|(ticket, _)| *ticket).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(answered.iter().map(|(_, body)| *body).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    expect_row_count(count, answered.len(), "comments")
}

/// Deletes at most `limit` chunks of the files of ended operations, and returns their number.
pub async fn delete_finished(connection: &mut Connection, limit: i64) -> Result<usize> {
    const SQL: &str = "DELETE FROM upload_chunks WHERE ctid = ANY (ARRAY( \
                         SELECT upload_chunks.ctid FROM upload_chunks JOIN operations ON operations.id = operation_id \
                         WHERE operations.state >= $1 LIMIT $2))";
    let deleted = diesel::sql_query(SQL)
        .bind::<SmallInt, _>(OperationStatus::Succeeded.number())
        .bind::<BigInt, _>(limit)
        .execute(connection);
    Ok(deleted.await?)
}

/// Fails unless a statement affected `expected` rows.
pub(crate) fn expect_row_count(count: usize, expected: usize, table: &str) -> Result<()> {
    if count == expected {
        Ok(())
    } else {
        Err(Error::internal(anyhow::anyhow!("{table}: {count} of {expected} rows")))
    }
}
