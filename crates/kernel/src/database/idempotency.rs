//! SQL of idempotency keys and their stored responses.

use std::{sync::OnceLock, time::Duration};

use chrono::{DateTime, Utc};
use diesel::{
    deserialize::QueryableByName,
    prelude::*,
    sql_types::{BigInt, Binary, Bool, Nullable, Text, Timestamptz, Uuid},
};
use diesel_async::RunQueryDsl;

use crate::database::schema::idempotency_keys;
use crate::{
    database::{
        Connection,
        statement::{Prepare as _, Statement},
        violated_unique,
    },
    error::{Error, Reason, Result},
};

/// A key and its stored response.
#[derive(Debug, Clone, Insertable, Queryable, Selectable)]
#[diesel(table_name = idempotency_keys, treat_none_as_default_value = false)]
pub struct StoredAnswer {
    /// SHA-256 of principal, RPC and key.
    pub scope_hash: Vec<u8>,
    /// SHA-256 of the request.
    pub fingerprint: Vec<u8>,
    /// The reason's code of a stored error; `None` for a success.
    pub error_code: Option<String>,
    /// The encoded response; `None` in a tombstone.
    pub answer: Option<Vec<u8>>,
    /// The operation behind a 202.
    pub operation_id: Option<uuid::Uuid>,
    /// The visibility of the caller, encoded.
    pub visibility: Vec<u8>,
    /// The time of storage.
    pub created_at: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct ClaimRow {
    #[diesel(sql_type = Bool)]
    locked: bool,
    #[diesel(sql_type = Nullable<Binary>)]
    fingerprint: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Text>)]
    error_code: Option<String>,
    #[diesel(sql_type = Nullable<Binary>)]
    answer: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Uuid>)]
    operation_id: Option<uuid::Uuid>,
    #[diesel(sql_type = Nullable<Binary>)]
    visibility: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    created_at: Option<DateTime<Utc>>,
}

/// Creates the error for a key whose earlier request is still running. That request ends within its deadline, and
/// usually much earlier.
pub fn in_progress() -> Error {
    Error::new(Reason::IdempotencyInProgress).retry_after(Duration::from_secs(1))
}

/// Takes the transaction's advisory lock on a key and reads the stored response, in one round trip.
///
/// The snapshot of the read may be older than the lock, so that `None` is not proof of absence; [`insert`] is.
///
/// # Errors
/// `IDEMPOTENCY_IN_PROGRESS` when another transaction holds the lock.
pub async fn claim(connection: &Connection, scope_hash: &[u8; 32], lock: i64) -> Result<Option<StoredAnswer>> {
    const SQL: &str = "SELECT pg_try_advisory_xact_lock(?) AS locked, fingerprint, error_code, answer, operation_id, \
                       visibility, created_at FROM (VALUES (1)) AS one LEFT JOIN idempotency_keys ON scope_hash = ?";
    let statement = Statement::new(SQL).bind::<BigInt, _>(lock).bind::<Binary, _>(scope_hash.as_slice());
    let row: ClaimRow = statement.get_result(&mut &*connection).await?;
    let (Some(fingerprint), Some(visibility), Some(created_at)) = (row.fingerprint, row.visibility, row.created_at)
    else {
        return if row.locked { Ok(None) } else { Err(in_progress()) };
    };
    let ClaimRow { error_code, answer, operation_id, .. } = row;
    let scope_hash = scope_hash.to_vec();
    Ok(Some(StoredAnswer { scope_hash, fingerprint, error_code, answer, operation_id, visibility, created_at }))
}

/// Stores a response. Returns `false` if the key already has one, which also aborts the transaction. The statement has
/// no ON CONFLICT, because it may be the last one of a transaction ([`Work`](crate::unit_of_work::Work)), and its
/// failure must prevent the commit.
pub async fn insert(connection: &Connection, answer: &StoredAnswer) -> Result<bool> {
    static TEXT: OnceLock<String> = OnceLock::new();
    let insert = diesel::insert_into(idempotency_keys::table).values(answer).fixed(&TEXT);
    match insert.execute(&mut &*connection).await {
        Ok(_) => Ok(true),
        Err(error) if violated_unique(&error).is_some() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Returns the response stored under a key.
pub async fn find(connection: &Connection, scope_hash: &[u8; 32]) -> Result<Option<StoredAnswer>> {
    let query = idempotency_keys::table.find(scope_hash.as_slice()).select(StoredAnswer::as_select());
    Ok(query.first(&mut &*connection).await.optional()?)
}

/// Stores the final response under the keys of an operation, except for tombstones. `to_staff` is for callers whose
/// visibility is unrestricted, `to_others` for all other callers.
pub(crate) async fn conclude(
    connection: &Connection,
    operation: uuid::Uuid,
    error_code: Option<&str>,
    to_staff: Vec<u8>,
    to_others: Vec<u8>,
) -> Result<()> {
    const SQL: &str = "UPDATE idempotency_keys SET operation_id = NULL, error_code = ?, \
                       answer = CASE WHEN visibility = '\\x00' THEN ? ELSE ? END \
                       WHERE operation_id = ? AND answer IS NOT NULL";
    Statement::new(SQL)
        .bind::<Nullable<Text>, _>(error_code)
        .bind::<Binary, _>(to_staff)
        .bind::<Binary, _>(to_others)
        .bind::<Uuid, _>(operation)
        .execute(&mut &*connection)
        .await?;
    Ok(())
}

/// Turns at most `limit` responses older than `before` into tombstones, and returns their number.
pub async fn empty(connection: &mut Connection, before: DateTime<Utc>, limit: i64) -> Result<usize> {
    use idempotency_keys::dsl;
    let old = dsl::idempotency_keys.filter(dsl::created_at.lt(before)).filter(dsl::answer.is_not_null());
    let some: Vec<Vec<u8>> = old.select(dsl::scope_hash).limit(limit).load(connection).await?;
    let some = dsl::idempotency_keys.filter(dsl::scope_hash.eq_any(some));
    Ok(diesel::update(some).set(dsl::answer.eq(None::<Vec<u8>>)).execute(connection).await?)
}

/// Removes at most `limit` tombstones older than `before`, and returns their number.
pub async fn delete_expired(connection: &mut Connection, before: DateTime<Utc>, limit: i64) -> Result<usize> {
    use idempotency_keys::dsl;
    let old = dsl::idempotency_keys.filter(dsl::created_at.lt(before)).filter(dsl::answer.is_null());
    let some: Vec<Vec<u8>> = old.select(dsl::scope_hash).limit(limit).load(connection).await?;
    Ok(diesel::delete(dsl::idempotency_keys.filter(dsl::scope_hash.eq_any(some))).execute(connection).await?)
}
