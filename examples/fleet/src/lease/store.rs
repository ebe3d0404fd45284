//! SQL of leases.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use mainstay_kernel::{
    caller::Visibility,
    database::{Connection, condition::Condition, count, integrity::one_row, seek::newest_first, violated_foreign_key},
    error::{Error, Result},
    id::AccountId,
    page::{Page, Total},
};
use uuid::Uuid;

use super::model::{Lease, LeaseId};
use crate::{schema::leases, vehicle::model::VehicleId};

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = leases, treat_none_as_default_value = false)]
struct Row {
    id: LeaseId,
    vehicle_id: VehicleId,
    account_id: AccountId,
    order_id: Option<Uuid>,
    expires_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<&Lease> for Row {
    fn from(lease: &Lease) -> Self {
        let Lease { id, vehicle, account, order, expires_at, ended_at, version, created_at, updated_at } =
            lease.clone();
        Self {
            id,
            vehicle_id: vehicle,
            account_id: account,
            order_id: order,
            expires_at,
            ended_at,
            version,
            created_at,
            updated_at,
        }
    }
}

impl From<Row> for Lease {
    fn from(row: Row) -> Self {
        let Row { id, vehicle_id, account_id, order_id, expires_at, ended_at, version, created_at, updated_at } = row;
        Self {
            id,
            vehicle: vehicle_id,
            account: account_id,
            order: order_id,
            expires_at,
            ended_at,
            version,
            created_at,
            updated_at,
        }
    }
}

/// Selects the leases that are visible to a caller. A lease belongs to an account, not to one of its users.
fn visible<'q>(visibility: Visibility) -> leases::BoxedQuery<'q, diesel::pg::Pg> {
    let query = leases::table.into_boxed();
    match visibility {
        Visibility::All => query,
        Visibility::Account(account) => query.filter(leases::account_id.eq(account)),
        Visibility::Principal(_) => query.filter(Condition::plain("false")),
    }
}

/// Stores a new lease.
///
/// # Errors
/// `NOT_FOUND` if the account does not exist.
pub(super) async fn insert(connection: &mut Connection, lease: &Lease) -> Result<()> {
    match diesel::insert_into(leases::table).values(Row::from(lease)).execute(connection).await {
        Err(error) if violated_foreign_key(&error) == Some("leases_account_id_fkey") => {
            Err(Error::not_found("account").caused_by(error))
        }
        inserted => one_row(inserted?, "insert", "leases", lease.id),
    }
}

pub(super) async fn get(mut connection: &Connection, visibility: Visibility, id: LeaseId) -> Result<Lease> {
    let query = visible(visibility).filter(leases::id.eq(id)).select(Row::as_select());
    query.first(&mut connection).await.optional()?.map(Lease::from).ok_or_else(|| Error::not_found("lease"))
}

/// Returns a lease that is visible to the caller, locked against changes until the transaction ends.
pub(super) async fn lock(connection: &mut Connection, visibility: Visibility, id: LeaseId) -> Result<Lease> {
    // A boxed query has no lock clause, so that visibility is checked on the row. The error is the same.
    let query = leases::table.find(id).select(Row::as_select()).for_no_key_update();
    let row: Option<Row> = query.first(connection).await.optional()?;
    let row = row.filter(|row| visibility.reaches(row.account_id, None));
    row.map(Lease::from).ok_or_else(|| Error::not_found("lease"))
}

/// Returns whether a lease exists for an order.
pub(super) async fn exists_for_order(connection: &mut Connection, order: Uuid) -> Result<bool> {
    let of_order = leases::table.filter(leases::order_id.eq(order));
    Ok(diesel::select(diesel::dsl::exists(of_order)).get_result(connection).await?)
}

/// Stores the end of a locked lease.
pub(super) async fn end(connection: &mut Connection, lease: &Lease) -> Result<()> {
    let earlier = leases::table.filter(leases::id.eq(lease.id)).filter(leases::version.eq(lease.version - 1));
    let values = (
        leases::ended_at.eq(lease.ended_at),
        leases::version.eq(lease.version),
        leases::updated_at.eq(lease.updated_at),
    );
    one_row(diesel::update(earlier).set(values).execute(connection).await?, "update", "leases", lease.id)
}

/// Counts the open leases of an account that began before a time.
pub(super) async fn count_open(connection: &mut Connection, account: AccountId, before: DateTime<Utc>) -> Result<i64> {
    let open = leases::table.filter(leases::ended_at.is_null()).filter(leases::account_id.eq(account));
    Ok(open.filter(leases::created_at.lt(before)).count().get_result(connection).await?)
}

/// Counts the open leases of all accounts that end before `until`.
pub(super) async fn count_ending(connection: &Connection, until: DateTime<Utc>) -> Result<Total> {
    let ending = leases::table.filter(leases::ended_at.is_null()).filter(leases::expires_at.le(until));
    count::bounded(connection, Box::new(ending.select(leases::id).limit(count::BOUND + 1))).await
}

/// Returns at most `limit` open leases of an account that began before a time, oldest first, locked against changes until
/// the transaction ends.
pub(super) async fn lock_open(
    connection: &mut Connection,
    account: AccountId,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Lease>> {
    let open = leases::table.filter(leases::ended_at.is_null()).filter(leases::account_id.eq(account));
    let open = open.filter(leases::created_at.lt(before)).order((leases::created_at, leases::id)).limit(limit);
    let rows: Vec<Row> = open.select(Row::as_select()).for_no_key_update().load(connection).await?;
    Ok(rows.into_iter().map(Lease::from).collect())
}

/// Returns at most `limit` expired open leases.
pub(super) async fn expired(connection: &mut Connection, now: DateTime<Utc>, limit: i64) -> Result<Vec<LeaseId>> {
    let expired = leases::table.filter(leases::ended_at.is_null()).filter(leases::expires_at.le(now));
    Ok(expired.order(leases::expires_at).select(leases::id).limit(limit).load(connection).await?)
}

/// Returns at most `limit` open leases that end before `until`, and were not announced.
pub(super) async fn unannounced(connection: &mut Connection, until: DateTime<Utc>, limit: i64) -> Result<Vec<LeaseId>> {
    let open = leases::table.filter(leases::ended_at.is_null()).filter(leases::announced_at.is_null());
    let ending = open.filter(leases::expires_at.le(until)).order(leases::expires_at);
    Ok(ending.select(leases::id).limit(limit).load(connection).await?)
}

/// Stores that a locked lease was announced. It is no change of the lease for its readers.
pub(super) async fn set_announced(connection: &mut Connection, id: LeaseId, now: DateTime<Utc>) -> Result<()> {
    let announced = diesel::update(leases::table.find(id)).set(leases::announced_at.eq(now));
    one_row(announced.execute(connection).await?, "update", "leases", id)
}

/// Returns a page of leases, newest first.
pub(super) async fn list(mut connection: &Connection, visibility: Visibility, page: Page) -> Result<Vec<Lease>> {
    let query = newest_first!(visible(visibility), leases::created_at, page);
    let rows: Vec<Row> = query.select(Row::as_select()).load(&mut connection).await?;
    Ok(rows.into_iter().map(Lease::from).collect())
}

pub(super) async fn total(connection: &Connection, visibility: Visibility) -> Result<Total> {
    count::bounded(connection, Box::new(visible(visibility).select(leases::id).limit(count::BOUND + 1))).await
}
