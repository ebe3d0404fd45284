//! Impersonations in SQL.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::{
    identity::impersonation::{id::ImpersonationId, model::Impersonation},
    schema::impersonations,
};
use mainstay_kernel::{
    database::{Connection, convert, seek::listed, statement::Prepare as _},
    error::Result,
    id::{AccountId, UserId},
    page::{Listed, Page},
};

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = impersonations)]
struct Row {
    id: ImpersonationId,
    user_id: UserId,
    account_id: AccountId,
    impersonator_id: UserId,
    reason: String,
    allows_writes: bool,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
}

impl From<Row> for Impersonation {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            user: row.user_id,
            account: row.account_id,
            impersonator: row.impersonator_id,
            reason: row.reason,
            allows_writes: row.allows_writes,
            created_at: row.created_at,
            expires_at: row.expires_at,
            ended_at: row.ended_at,
        }
    }
}

impl From<&Impersonation> for Row {
    fn from(impersonation: &Impersonation) -> Self {
        Self {
            id: impersonation.id,
            user_id: impersonation.user,
            account_id: impersonation.account,
            impersonator_id: impersonation.impersonator,
            reason: impersonation.reason.clone(),
            allows_writes: impersonation.allows_writes,
            created_at: impersonation.created_at,
            expires_at: impersonation.expires_at,
            ended_at: impersonation.ended_at,
        }
    }
}

/// Stores a new impersonation.
pub async fn insert(connection: &Connection, impersonation: &Impersonation) -> Result<()> {
    let row = Row::from(impersonation);
    diesel::insert_into(impersonations::table).values(row).execute(&mut &*connection).await?;
    Ok(())
}

/// Returns one impersonation, locked until the transaction ends.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn lock(connection: &Connection, id: ImpersonationId) -> Result<Impersonation> {
    let query = impersonations::table.find(id).select(Row::as_select()).for_no_key_update();
    convert::found::<Row, _>(query.first(&mut &*connection).await, "impersonation")
}

/// Selects the impersonations that last.
fn lasting<'q>(now: DateTime<Utc>) -> impersonations::BoxedQuery<'q, diesel::pg::Pg> {
    let query = impersonations::table.filter(impersonations::ended_at.is_null());
    query.filter(impersonations::expires_at.gt(now)).into_boxed()
}

/// Returns a page of impersonations that last, newest first.
pub async fn list(connection: &Connection, now: DateTime<Utc>, page: Page) -> Result<Listed<Impersonation>> {
    listed!(connection, lasting(now), impersonations::created_at, page, Row => Impersonation)
}

/// Ends a locked impersonation.
pub async fn end(connection: &Connection, id: ImpersonationId, now: DateTime<Utc>) -> Result<()> {
    let set = diesel::update(impersonations::table.find(id)).set(impersonations::ended_at.eq(now));
    set.exactly(1, "end impersonations").execute(&mut &*connection).await?;
    Ok(())
}
