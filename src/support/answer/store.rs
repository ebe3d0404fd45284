//! Canned answers in SQL.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::support::id::CannedAnswerId;
use crate::{
    schema::{accounts, canned_answers},
    support::answer::model::CannedAnswer,
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

/// The columns of a [`Row`].
type Columns = (
    canned_answers::id,
    canned_answers::name,
    Optional<canned_answers::body>,
    canned_answers::author_id,
    canned_answers::version,
    canned_answers::created_at,
    canned_answers::updated_at,
);

fn columns(texts: bool) -> Columns {
    use canned_answers::{author_id, body, created_at, id, name, updated_at, version};
    (id, name, optional(body, texts), author_id, version, created_at, updated_at)
}

/// Reports a name that is taken.
fn check_name<T>(written: QueryResult<T>) -> Result<T> {
    written.map_err(already_exists("canned_answers_name_key", "Another canned answer has this name."))
}

/// Stores a new canned answer.
///
/// # Errors
/// `ALREADY_EXISTS` if the name is taken.
pub async fn insert(connection: &Connection, answer: CannedAnswer) -> Result<()> {
    let insert = diesel::insert_into(canned_answers::table).values(Row::from(answer));
    check_name(insert.execute(&mut &*connection).await).map(drop)
}

/// Returns one canned answer, with an empty text unless that is asked for.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, id: CannedAnswerId, texts: bool) -> Result<CannedAnswer> {
    let query = canned_answers::table.find(id).select(columns(texts));
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

/// Removes a locked canned answer.
pub async fn delete(connection: &Connection, id: CannedAnswerId) -> Result<()> {
    diesel::delete(canned_answers::table.find(id))
        .exactly(1, "delete canned answers")
        .execute(&mut &*connection)
        .await?;
    Ok(())
}

/// Selects the canned answers whose name contains a text. There are as many as people write, so each name is looked at.
fn named<'q>(part: &str) -> canned_answers::BoxedQuery<'q, diesel::pg::Pg> {
    let query = canned_answers::table.into_boxed();
    if part.is_empty() {
        return query;
    }
    let escaped = part.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    query.filter(canned_answers::name.ilike(format!("%{escaped}%")))
}

/// Returns a page of canned answers whose name contains a text, newest first, with empty texts unless these are asked
/// for.
pub async fn list(mut connection: &Connection, name: &str, page: Page, texts: bool) -> Result<Vec<CannedAnswer>> {
    let query = newest_first!(named(name), canned_answers::created_at, page);
    convert::all::<Row, _>(query.select(columns(texts)).load(&mut connection).await)
}

/// Counts the canned answers whose name contains a text, up to a bound.
pub async fn total(connection: &Connection, name: &str) -> Result<Total> {
    let limited = named(name).select(canned_answers::id).limit(count::BOUND + 1);
    count::bounded(connection, Box::new(limited)).await
}

/// Removes the canned answers of these names.
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
