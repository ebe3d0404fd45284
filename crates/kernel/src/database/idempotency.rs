//! SQL of idempotency keys and their stored responses.

use std::{sync::OnceLock, time::Duration};

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    result::Error as QueryError,
    sql_types::{BigInt, Binary, Nullable, Text, Uuid},
};
use diesel_async::RunQueryDsl;

use crate::database::schema::idempotency_keys;
use crate::{
    database::{
        Connection,
        connect::sqlstate,
        statement::{Prepare as _, Statement},
        violated_unique,
    },
    error::{Error, Reason, Result},
};

/// The SQLSTATE of the error of a [`claim`] of a key that another request uses: `invalid_text_representation`.
const IN_USE: &str = "22P02";

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

/// Creates the error for a key whose earlier request is still running. That request ends within its deadline, and
/// usually much earlier.
pub fn in_progress() -> Error {
    Error::new(Reason::IdempotencyInProgress).retry_after(Duration::from_secs(1))
}

/// Takes the transaction's advisory lock on a key, or fails if another transaction holds it or the key has a response.
/// The failure is an error of Postgres, so that it aborts the transaction with its later statements.
///
/// The snapshot of the look-up may be older than the lock, so that success is not proof of absence; [`insert`] is.
///
/// # Errors
/// `IDEMPOTENCY_IN_PROGRESS` when the key is in use.
pub async fn claim(connection: &Connection, scope_hash: &[u8; 32]) -> Result<()> {
    // The cast of the text to a number fails, which is the error. The planner can't evaluate it early, because it contains
    // the process id.
    const SQL: &str = "SELECT CASE WHEN pg_try_advisory_xact_lock(?) \
                       AND NOT EXISTS (SELECT FROM idempotency_keys WHERE scope_hash = ?) THEN 0 \
                       ELSE ('the idempotency key is in use by another request, not that of ' || pg_backend_pid())::integer END";
    let lock = i64::from_be_bytes(scope_hash[..8].try_into().expect("8 of 32 bytes"));
    let statement = Statement::new(SQL).bind::<BigInt, _>(lock).bind::<Binary, _>(scope_hash.as_slice());
    match statement.execute(&mut &*connection).await {
        Ok(_) => Ok(()),
        Err(QueryError::DatabaseError(_, about)) if sqlstate::of(about.message()) == Some(IN_USE) => Err(in_progress()),
        Err(error) => Err(error.into()),
    }
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
    Ok(query.get_result(&mut &*connection).await.optional()?)
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
