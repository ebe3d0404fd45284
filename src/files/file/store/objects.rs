//! The objects in the storage.
//!
//! A statement about several objects locks them in key order first, so that two transactions with the same objects
//! can't deadlock.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Nullable, Text, Timestamptz, Uuid},
};
use diesel_async::RunQueryDsl;
use mainstay_kernel::{
    database::{
        Connection,
        statement::{MAX_PREPARED_ROWS, Prepare as _},
    },
    error::{Error, Result},
    id::AccountId,
};

use crate::{files::file::model::File, schema::stored_objects};

/// Registers objects before they are written. They are deleted at `delete_at` unless a transaction [keeps](keep) them.
pub async fn register(connection: &Connection, keys: &[String], delete_at: DateTime<Utc>) -> Result<()> {
    let row = |key: &String| (stored_objects::key.eq(key.clone()), stored_objects::delete_at.eq(delete_at));
    let rows: Vec<_> = keys.iter().map(row).collect();
    let insert = diesel::insert_into(stored_objects::table).values(rows);
    match keys.len() {
        ..=MAX_PREPARED_ROWS => insert.prepared().execute(&mut &*connection).await?,
        _ => insert.execute(&mut &*connection).await?,
    };
    Ok(())
}

/// Keeps objects: cancels their deletion.
///
/// # Errors
/// `UNAVAILABLE` if an object is being deleted, because its writer took too long.
pub async fn keep(connection: &Connection, keys: &[String]) -> Result<()> {
    const SQL: &str = "UPDATE stored_objects SET delete_at = NULL WHERE key = ANY (ARRAY( \
                         SELECT key FROM stored_objects WHERE key = ANY ($1) AND delete_at IS NOT NULL AND NOT is_deleting \
                         ORDER BY key FOR UPDATE))";
    let update = diesel::sql_query(SQL).bind::<Array<Text>, _>(keys).prepared();
    let updated = update.execute(&mut &*connection).await?;
    if updated == keys.len() {
        return Ok(());
    }
    Err(Error::unavailable(anyhow::anyhow!("{updated} of {} objects can be kept", keys.len())))
}

/// Schedules the deletion of an object that no transaction has kept.
pub async fn abandon(connection: &mut Connection, key: &str, now: DateTime<Utc>) -> Result<()> {
    let target = stored_objects::table.find(key).filter(stored_objects::delete_at.is_not_null());
    let target = target.filter(stored_objects::is_deleting.eq(false));
    diesel::update(target).set(stored_objects::delete_at.eq(now)).prepared().execute(connection).await?;
    Ok(())
}

/// Schedules the deletion of kept objects at a time.
pub async fn release(connection: &mut Connection, keys: &[String], delete_at: DateTime<Utc>) -> Result<()> {
    const SQL: &str = "UPDATE stored_objects SET delete_at = $2 WHERE key = ANY (ARRAY( \
                         SELECT key FROM stored_objects WHERE key = ANY ($1) AND NOT is_deleting \
                         ORDER BY key FOR UPDATE))";
    let update = diesel::sql_query(SQL).bind::<Array<Text>, _>(keys).bind::<Timestamptz, _>(delete_at);
    update.prepared().execute(connection).await?;
    Ok(())
}

/// Schedules the deletion of an upload at `ends`, the time after which no upload can arrive at its key.
pub async fn end_upload(connection: &Connection, key: &str, ends: DateTime<Utc>) -> Result<()> {
    let target = stored_objects::table.find(key).filter(stored_objects::delete_at.gt(ends));
    diesel::update(target).set(stored_objects::delete_at.eq(ends)).prepared().execute(&mut &*connection).await?;
    Ok(())
}

/// Holds the quota of removed files until their uploads are deleted, at `ends` if that is sooner than planned. Returns
/// the keys that still exist; the quota of the other files is not held.
pub async fn hold_space(
    connection: &mut Connection,
    removed: &[File],
    ends: Option<DateTime<Utc>>,
) -> Result<Vec<String>> {
    const SQL: &str = "UPDATE stored_objects SET account_id = removed.account_id, size_bytes = removed.size_bytes, \
                         delete_at = least(delete_at, $4) \
                       FROM unnest($1, $2, $3) AS removed (key, account_id, size_bytes) \
                       WHERE stored_objects.key = removed.key AND stored_objects.key = ANY (ARRAY( \
                         SELECT key FROM stored_objects WHERE key = ANY ($1) ORDER BY key FOR UPDATE)) \
                       RETURNING stored_objects.key";
    let keys: Vec<_> = removed.iter().map(|file| File::upload_key(file.id)).collect();
    let accounts: Vec<_> = removed.iter().map(|file| file.account).collect();
    let sizes: Vec<_> = removed.iter().map(|file| file.size_bytes).collect();
    let keys = diesel::sql_query(SQL)
        .bind::<Array<Text>, _>(keys)
        .bind::<Array<Uuid>, _>(accounts)
        .bind::<Array<BigInt>, _>(sizes)
        .bind::<Nullable<Timestamptz>, _>(ends)
        .columns::<Text>()
        .prepared();
    Ok(keys.load(connection).await?)
}

/// Returns at most `limit` objects to delete, which can no longer be kept. No other worker claims them until
/// `retry_at`.
pub async fn claim_deletable(
    connection: &mut Connection,
    now: DateTime<Utc>,
    retry_at: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<String>> {
    const SQL: &str = "UPDATE stored_objects SET is_deleting = true, delete_at = $2 WHERE key = ANY (ARRAY( \
                         SELECT key FROM stored_objects WHERE delete_at <= $1 ORDER BY delete_at LIMIT $3 \
                         FOR UPDATE SKIP LOCKED)) RETURNING key";
    let keys =
        diesel::sql_query(SQL).bind::<Timestamptz, _>(now).bind::<Timestamptz, _>(retry_at).bind::<BigInt, _>(limit);
    Ok(keys.columns::<Text>().load(connection).await?)
}

/// Removes the records of objects that are no longer in the storage. Returns the quota that they held.
pub async fn forget(connection: &mut Connection, keys: &[String]) -> Result<Vec<(AccountId, i64)>> {
    const SQL: &str = "DELETE FROM stored_objects WHERE key = ANY (ARRAY( \
                         SELECT key FROM stored_objects WHERE key = ANY ($1) AND is_deleting ORDER BY key FOR UPDATE)) \
                       RETURNING account_id, size_bytes";
    let query = diesel::sql_query(SQL).bind::<Array<Text>, _>(keys).columns::<(Nullable<Uuid>, Nullable<BigInt>)>();
    let spaces: Vec<(Option<AccountId>, Option<i64>)> = query.load(connection).await?;
    Ok(spaces.into_iter().filter_map(|(account, bytes)| account.zip(bytes)).collect())
}
