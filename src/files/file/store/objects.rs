//! The objects in the storage.

use chrono::{DateTime, Utc};
use diesel::{prelude::*, sql_types::BigInt, sql_types::Text, sql_types::Timestamptz};
use diesel_async::RunQueryDsl;
use mainstay_kernel::{
    database::Connection,
    error::{Error, Result},
};

use crate::schema::stored_objects;

/// Notes that objects are about to be written, and when they are orphans unless somebody [keeps](keep) them.
pub async fn intend(connection: &mut Connection, keys: &[String], delete_at: DateTime<Utc>) -> Result<()> {
    let row = |key: &String| (stored_objects::key.eq(key.clone()), stored_objects::delete_at.eq(delete_at));
    let rows: Vec<_> = keys.iter().map(row).collect();
    diesel::insert_into(stored_objects::table).values(rows).execute(connection).await?;
    Ok(())
}

/// Keeps objects, which must not be on their way out.
///
/// # Errors
/// `UNAVAILABLE` if one is being deleted: whoever wrote it took too long.
pub async fn keep(connection: &mut Connection, keys: &[String]) -> Result<()> {
    let target = stored_objects::table
        .filter(stored_objects::key.eq_any(keys))
        .filter(stored_objects::delete_at.is_not_null())
        .filter(stored_objects::is_doomed.eq(false));
    let none = stored_objects::delete_at.eq(None::<DateTime<Utc>>);
    let kept = diesel::update(target).set(none).execute(connection).await?;
    if kept == keys.len() {
        return Ok(());
    }
    Err(Error::unavailable(anyhow::anyhow!("{kept} of {} objects can be kept", keys.len())))
}

/// Gives up an object that nobody has kept.
pub async fn abandon(connection: &mut Connection, key: &str, now: DateTime<Utc>) -> Result<()> {
    let target = stored_objects::table.find(key).filter(stored_objects::delete_at.is_not_null());
    let target = target.filter(stored_objects::is_doomed.eq(false));
    diesel::update(target).set(stored_objects::delete_at.eq(now)).execute(connection).await?;
    Ok(())
}

/// Gives objects up that were kept, from a time on.
pub async fn release(connection: &mut Connection, keys: &[String], delete_at: DateTime<Utc>) -> Result<()> {
    let target = stored_objects::table.filter(stored_objects::key.eq_any(keys));
    let target = target.filter(stored_objects::is_doomed.eq(false));
    diesel::update(target).set(stored_objects::delete_at.eq(delete_at)).execute(connection).await?;
    Ok(())
}

#[derive(QueryableByName)]
struct Doomed {
    #[diesel(sql_type = Text)]
    key: String,
}

/// Returns at most `limit` objects to delete, which nobody can keep any more. Nobody else gets them until `again`.
pub async fn doomed(
    connection: &mut Connection,
    now: DateTime<Utc>,
    again: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<String>> {
    const SQL: &str = "UPDATE stored_objects SET is_doomed = true, delete_at = $2 WHERE key = ANY (ARRAY( \
                         SELECT key FROM stored_objects WHERE delete_at <= $1 ORDER BY delete_at LIMIT $3 \
                         FOR UPDATE SKIP LOCKED)) RETURNING key";
    let doomed: Vec<Doomed> = diesel::sql_query(SQL)
        .bind::<Timestamptz, _>(now)
        .bind::<Timestamptz, _>(again)
        .bind::<BigInt, _>(limit)
        .load(connection)
        .await?;
    Ok(doomed.into_iter().map(|doomed| doomed.key).collect())
}

/// Forgets objects that are no longer in the storage.
pub async fn forget(connection: &mut Connection, keys: &[String]) -> Result<()> {
    let gone = stored_objects::table.filter(stored_objects::key.eq_any(keys));
    diesel::delete(gone.filter(stored_objects::is_doomed.eq(true))).execute(connection).await?;
    Ok(())
}
