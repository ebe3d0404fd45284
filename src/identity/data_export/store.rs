//! Exports in SQL.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    identity::data_export::{
        id::DataExportId,
        model::{Archive, DataExport, Status},
    },
    proto::identity::v1::Reason as IdentityReason,
    schema::data_exports,
};
use mainstay_kernel::{
    caller::Visibility,
    database::{
        Connection, convert, integrity::corrupt, seek::listed, statement::Prepare as _, violated_unique,
        visibility::visible,
    },
    error::{Error, Result},
    id::{AccountId, UserId},
    page::{Listed, Page},
};

#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = data_exports, treat_none_as_null = true)]
struct Row {
    id: DataExportId,
    user_id: UserId,
    account_id: Option<AccountId>,
    state: i16,
    items_total: i64,
    items_done: i64,
    archive_id: Option<Uuid>,
    size_bytes: Option<i64>,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
}

impl From<&DataExport> for Row {
    fn from(export: &DataExport) -> Self {
        Self {
            id: export.id,
            user_id: export.user,
            account_id: export.account,
            state: export.status.number(),
            items_total: export.items_total,
            items_done: export.items_done,
            archive_id: export.archive.map(|archive| archive.id),
            size_bytes: export.archive.map(|archive| archive.size_bytes),
            created_at: export.created_at,
            finished_at: export.finished_at,
            expires_at: export.archive.map(|archive| archive.expires_at),
        }
    }
}

impl TryFrom<Row> for DataExport {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let archive = match (row.archive_id, row.size_bytes, row.expires_at) {
            (Some(id), Some(size_bytes), Some(expires_at)) => Some(Archive { id, size_bytes, expires_at }),
            _ => None,
        };
        Ok(Self {
            id: row.id,
            user: row.user_id,
            account: row.account_id,
            status: Status::from_number(row.state.into()).ok_or_else(|| corrupt("data_exports", row.id, "state"))?,
            items_total: row.items_total,
            items_done: row.items_done,
            archive,
            created_at: row.created_at,
            finished_at: row.finished_at,
        })
    }
}

visible!(data_exports, user_id);

/// Stores a new export.
///
/// # Errors
/// `DATA_EXPORT_LIMIT_REACHED` if the user has one that is not finished.
pub async fn insert(connection: &Connection, export: &DataExport) -> Result<()> {
    match diesel::insert_into(data_exports::table).values(Row::from(export)).execute(&mut &*connection).await {
        Err(error) if violated_unique(&error) == Some("data_exports_open_key") => {
            Err(Error::from(IdentityReason::DataExportLimitReached).caused_by(error))
        }
        inserted => inserted.map(drop).map_err(Error::from),
    }
}

/// Stores the next state of a locked export.
pub async fn update(connection: &Connection, export: &DataExport) -> Result<()> {
    let target = data_exports::table.filter(data_exports::id.eq(export.id));
    diesel::update(target).set(Row::from(export)).exactly(1, "update data_exports").execute(&mut &*connection).await?;
    Ok(())
}

/// Stores how many items of a running export are done.
pub async fn set_done(connection: &Connection, id: DataExportId, items: i64) -> Result<()> {
    let target = data_exports::table.filter(data_exports::id.eq(id)).filter(data_exports::finished_at.is_null());
    diesel::update(target).set(data_exports::items_done.eq(items)).execute(&mut &*connection).await?;
    Ok(())
}

/// Returns one export that is visible to the caller.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, visibility: Visibility, id: DataExportId) -> Result<DataExport> {
    let query = visible(visibility).filter(data_exports::id.eq(id)).select(Row::as_select());
    convert::found::<Row, _>(query.first(&mut &*connection).await, "data export")
}

/// Returns one export, locked against changes until the transaction ends.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn lock(connection: &Connection, id: DataExportId) -> Result<DataExport> {
    let query = data_exports::table.find(id).select(Row::as_select()).for_no_key_update();
    convert::found::<Row, _>(query.first(&mut &*connection).await, "data export")
}

/// Counts the exports that a user has begun since a time.
pub async fn count_since(connection: &Connection, user: UserId, since: DateTime<Utc>) -> Result<i64> {
    let begun = data_exports::table.filter(data_exports::user_id.eq(user)).filter(data_exports::created_at.ge(since));
    Ok(begun.count().get_result(&mut &*connection).await?)
}

/// Returns a page of exports, newest first.
pub async fn list(connection: &Connection, visibility: Visibility, page: Page) -> Result<Listed<DataExport>> {
    listed!(connection, visible(visibility), data_exports::created_at, page, Row => DataExport)
}

/// Removes at most `limit` exports that ended before `before`; returns how many.
pub async fn delete_expired(connection: &mut Connection, before: DateTime<Utc>, limit: i64) -> Result<usize> {
    let ended = data_exports::table.filter(data_exports::finished_at.lt(before)).select(data_exports::id).limit(limit);
    let ids: Vec<DataExportId> = ended.load(connection).await?;
    Ok(diesel::delete(data_exports::table.filter(data_exports::id.eq_any(ids))).execute(connection).await?)
}

/// Removes at most `limit` exports by a user, or of an account; returns the ids of their archives, if any.
pub async fn erase(connection: &mut Connection, owner: Uuid, limit: i64) -> Result<Vec<Option<Uuid>>> {
    let of_either =
        data_exports::user_id.eq(UserId(owner)).or(data_exports::account_id.eq(AccountId(owner)).assume_not_null());
    let ids: Vec<DataExportId> =
        data_exports::table.filter(of_either).select(data_exports::id).limit(limit).load(connection).await?;
    let erased = diesel::delete(data_exports::table.filter(data_exports::id.eq_any(ids)));
    Ok(erased.returning(data_exports::archive_id).get_results(connection).await?)
}
