//! Service keys in SQL.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::{identity::service_key::model::ServiceKey, schema::service_keys};
use mainstay_kernel::{
    database::{Connection, count, seek::newest_first},
    error::{Error, Result},
    id::{ServiceKeyId, UserId},
    page::{Start, Total},
};

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = service_keys)]
struct Row {
    id: ServiceKeyId,
    name: String,
    scopes: Vec<String>,
    created_by: UserId,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

impl From<Row> for ServiceKey {
    fn from(row: Row) -> Self {
        let Row { id, name, scopes, created_by, created_at, expires_at, revoked_at } = row;
        Self { id, name, scopes, created_by, created_at, expires_at, revoked_at }
    }
}

/// Stores a new key with the hash of its secret.
pub async fn insert(connection: &mut Connection, key: &ServiceKey, secret_hash: [u8; 32]) -> Result<()> {
    let row = (
        service_keys::id.eq(key.id),
        service_keys::name.eq(&key.name),
        service_keys::secret_hash.eq(secret_hash.to_vec()),
        service_keys::scopes.eq(&key.scopes),
        service_keys::created_by.eq(key.created_by),
        service_keys::created_at.eq(key.created_at),
        service_keys::expires_at.eq(key.expires_at),
        service_keys::revoked_at.eq(key.revoked_at),
    );
    diesel::insert_into(service_keys::table).values(row).execute(connection).await?;
    Ok(())
}

/// Returns one key.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, id: ServiceKeyId) -> Result<ServiceKey> {
    let row: Option<Row> =
        service_keys::table.find(id).select(Row::as_select()).first(&mut &*connection).await.optional()?;
    row.map(ServiceKey::from).ok_or_else(|| Error::not_found("service key"))
}

/// Returns one key with the hash of its secret, for authentication.
pub async fn with_hash(connection: &mut Connection, id: ServiceKeyId) -> Result<Option<(ServiceKey, Vec<u8>)>> {
    let query = service_keys::table.find(id).select((Row::as_select(), service_keys::secret_hash));
    let row: Option<(Row, Vec<u8>)> = query.first(connection).await.optional()?;
    Ok(row.map(|(row, hash)| (row.into(), hash)))
}

/// Selects the keys that a user created, or all.
fn matching<'q>(created_by: Option<UserId>) -> service_keys::BoxedQuery<'q, diesel::pg::Pg> {
    let query = service_keys::table.into_boxed();
    match created_by {
        Some(user) => query.filter(service_keys::created_by.eq(user)),
        None => query,
    }
}

/// Returns at most `limit` keys, newest first.
pub async fn list(
    connection: &mut Connection,
    created_by: Option<UserId>,
    start: Start,
    limit: i64,
) -> Result<Vec<ServiceKey>> {
    let query = newest_first!(matching(created_by), service_keys::created_at, start, limit);
    let rows: Vec<Row> = query.select(Row::as_select()).load(connection).await?;
    Ok(rows.into_iter().map(ServiceKey::from).collect())
}

/// Counts the keys that match, up to a bound.
pub async fn total(connection: &mut Connection, created_by: Option<UserId>) -> Result<Total> {
    let limited = matching(created_by).select(service_keys::id).limit(count::BOUND + 1);
    count::bounded(connection, Box::new(limited)).await
}

/// Revokes a key; the time of the first revocation stays.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn revoke(connection: &mut Connection, id: ServiceKeyId, now: DateTime<Utc>) -> Result<()> {
    let active = service_keys::table.filter(service_keys::id.eq(id)).filter(service_keys::revoked_at.is_null());
    let revoked = diesel::update(active).set(service_keys::revoked_at.eq(now)).execute(connection).await?;
    match revoked {
        1 => Ok(()),
        0 => get(connection, id).await.map(drop),
        count => Err(Error::internal(anyhow::anyhow!("service_keys {id}: revoke touched {count} rows"))),
    }
}

/// Removes the keys of a name.
pub async fn erase(connection: &mut Connection, name: &str) -> Result<usize> {
    Ok(diesel::delete(service_keys::table.filter(service_keys::name.eq(name))).execute(connection).await?)
}
