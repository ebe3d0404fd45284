//! Canned answers in SQL.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    schema::{accounts, canned_answers},
    support::{answer::model::CannedAnswer, id::CannedAnswerId},
};
use mainstay_kernel::{
    database::{
        Connection, already_exists, convert, count,
        optional_column::{Optional, optional},
        seek::newest_first,
        statement::Prepare as _,
    },
    error::{Error, Result},
    id::AccountId,
    page::{Page, Total},
};

#[derive(Debug, Queryable, Insertable, AsChangeset)]
#[diesel(table_name = canned_answers)]
struct Row {
    id: CannedAnswerId,
    name: String,
    body: String,
    author_id: Uuid,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<CannedAnswer> for Row {
    fn from(answer: CannedAnswer) -> Self {
        let CannedAnswer { id, name, body, author, version, created_at, updated_at } = answer;
        Self { id, name, body, author_id: author, version, created_at, updated_at }
    }
}

impl From<Row> for CannedAnswer {
    fn from(row: Row) -> Self {
        let Row { id, name, body, author_id, version, created_at, updated_at } = row;
        Self { id, name, body, author: author_id, version, created_at, updated_at }
    }
}

/// The columns of a [`Row`]. The body may be left out, because it is long.
type Columns = (
    canned_answers::id,
    canned_answers::name,
    Optional<canned_answers::body>,
    canned_answers::author_id,
    canned_answers::version,
    canned_answers::created_at,
    canned_answers::updated_at,
);

fn columns(with_body: bool) -> Columns {
    use canned_answers::{author_id, body, created_at, id, name, updated_at, version};
    (id, name, optional(body, with_body), author_id, version, created_at, updated_at)
}

/// Converts the violation of the unique index of names to `ALREADY_EXISTS`.
fn check_name<T>(result: QueryResult<T>) -> Result<T> {
    result.map_err(already_exists("canned_answers_name_key", "Another canned answer has this name."))
}

/// Stores a new canned answer.
///
/// # Errors
/// `ALREADY_EXISTS` if the name is taken.
pub async fn insert(connection: &Connection, answer: CannedAnswer) -> Result<()> {
    let insert = diesel::insert_into(canned_answers::table).values(Row::from(answer));
    check_name(insert.execute(&mut &*connection).await).map(drop)
}

/// Returns one canned answer. Without `with_body`, its body is empty.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, id: CannedAnswerId, with_body: bool) -> Result<CannedAnswer> {
    let query = canned_answers::table.find(id).select(columns(with_body));
    convert::found::<Row, _>(query.first(&mut &*connection).await, "canned answer")
}

/// Returns one canned answer, locked against changes until the transaction ends.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn lock(connection: &Connection, id: CannedAnswerId) -> Result<CannedAnswer> {
    let query = canned_answers::table.find(id).select(columns(true)).for_update();
    convert::found::<Row, _>(query.first(&mut &*connection).await, "canned answer")
}

/// Stores the next version of a locked canned answer.
///
/// # Errors
/// `ALREADY_EXISTS` if the name is taken.
pub async fn update(connection: &Connection, answer: CannedAnswer) -> Result<()> {
    let target = canned_answers::table.find(answer.id);
    let update = diesel::update(target).set(Row::from(answer));
    check_name(update.execute(&mut &*connection).await).map(drop)
}

/// Removes a locked canned answer. Without the row, the statement fails.
pub async fn delete(connection: &Connection, id: CannedAnswerId) -> Result<()> {
    diesel::delete(canned_answers::table.find(id))
        .exactly(1, "delete canned answers")
        .execute(&mut &*connection)
        .await?;
    Ok(())
}

/// Selects the canned answers whose name contains a text. No index serves this: people write the rows, so they are few.
fn named<'q>(text: &str) -> canned_answers::BoxedQuery<'q, diesel::pg::Pg> {
    let query = canned_answers::table.into_boxed();
    if text.is_empty() {
        return query;
    }
    let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    query.filter(canned_answers::name.ilike(format!("%{escaped}%")))
}

/// Returns a page of canned answers whose name contains a text, newest first. Without `with_bodies`, bodies are empty.
pub async fn list(mut connection: &Connection, name: &str, page: Page, with_bodies: bool) -> Result<Vec<CannedAnswer>> {
    let query = newest_first!(named(name), canned_answers::created_at, page);
    convert::all::<Row, _>(query.select(columns(with_bodies)).load(&mut connection).await)
}

/// Counts the canned answers whose name contains a text, up to a bound.
pub async fn total(connection: &Connection, name: &str) -> Result<Total> {
    let limited = named(name).select(canned_answers::id).limit(count::BOUND + 1);
    count::bounded(connection, Box::new(limited)).await
}

/// Removes the canned answers with the names, which are those of the sample data.
pub async fn erase(connection: &mut Connection, names: &[String]) -> Result<()> {
    diesel::delete(canned_answers::table.filter(canned_answers::name.eq_any(names))).execute(connection).await?;
    Ok(())
}

/// Returns the name of an account.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn account_name(connection: &Connection, id: AccountId) -> Result<String> {
    let name = accounts::table.find(id).select(accounts::name).first(&mut &*connection).await.optional()?;
    name.ok_or_else(|| Error::not_found("account"))
}
