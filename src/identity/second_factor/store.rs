//! Second factors in SQL.

pub mod device;
pub mod passkey;

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Binary, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{identity::second_factor::model::Stored, schema::second_factors};
use mainstay_kernel::{database::Connection, error::Result, id::UserId};

/// Stores the secret of an app that awaits its confirmation, in place of an earlier one.
pub async fn enroll(connection: &mut Connection, user: UserId, secret: Vec<u8>) -> Result<()> {
    let other = (second_factors::secret.eq(secret.clone()), second_factors::last_step.eq(0));
    let row = (second_factors::user_id.eq(user.0), second_factors::secret.eq(secret));
    let insert = diesel::insert_into(second_factors::table).values(row);
    insert.on_conflict(second_factors::user_id).do_update().set(other).execute(connection).await?;
    Ok(())
}

/// Removes the app of a user, and keeps the recovery codes.
pub async fn remove_app(connection: &mut Connection, user: UserId) -> Result<()> {
    enroll(connection, user, Vec::new()).await
}

/// Returns the app and the recovery codes of a user, confirmed or not.
pub async fn find(connection: &Connection, user: UserId) -> Result<Option<Stored>> {
    type Columns = (Vec<u8>, i64, Vec<Vec<u8>>, Option<DateTime<Utc>>);
    let columns =
        (second_factors::secret, second_factors::last_step, second_factors::recovery_codes, second_factors::reset_at);
    let query = second_factors::table.find(user.0).select(columns);
    let row: Option<Columns> = query.first(&mut &*connection).await.optional()?;
    Ok(row.map(|(secret, last_step, codes, reset_at)| Stored {
        secret,
        last_step,
        recovery_codes_left: codes.len(),
        reset_at,
    }))
}

/// Accepts the code of a step, and cancels a reset that waits. Returns `false` if a code of this step or a later one was
/// accepted before.
pub async fn accept_step(connection: &mut Connection, user: UserId, step: i64) -> Result<bool> {
    let target = second_factors::table.find(user.0).filter(second_factors::last_step.lt(step));
    let values = (second_factors::last_step.eq(step), second_factors::reset_at.eq(None::<DateTime<Utc>>));
    Ok(diesel::update(target).set(values).execute(connection).await? == 1)
}

/// Cancels a reset that waits.
pub async fn cancel_reset(connection: &mut Connection, user: UserId) -> Result<()> {
    let waiting = second_factors::table.find(user.0).filter(second_factors::reset_at.is_not_null());
    diesel::update(waiting).set(second_factors::reset_at.eq(None::<DateTime<Utc>>)).execute(connection).await?;
    Ok(())
}

/// Consumes a recovery code, by its hash. Returns `false` if the user has no such code, or a concurrent request consumed it
/// first: it waits for the lock on the row, and compares again.
pub async fn use_recovery_code(connection: &mut Connection, user: UserId, hash: &[u8; 32]) -> Result<bool> {
    const SQL: &str = "UPDATE second_factors SET recovery_codes = array_remove(recovery_codes, $2) \
                       WHERE user_id = $1 AND $2 = ANY (recovery_codes)";
    let statement = diesel::sql_query(SQL).bind::<SqlUuid, _>(user.0).bind::<Binary, _>(hash.to_vec());
    Ok(statement.execute(connection).await? == 1)
}

/// Replaces the hashes of the recovery codes, also of a user without an app, for whom no reset waits.
pub async fn set_recovery_codes(connection: &mut Connection, user: UserId, hashes: Vec<Vec<u8>>) -> Result<()> {
    let other = second_factors::recovery_codes.eq(hashes.clone());
    let row = (
        second_factors::user_id.eq(user.0),
        second_factors::secret.eq(Vec::<u8>::new()),
        second_factors::recovery_codes.eq(hashes),
    );
    let insert = diesel::insert_into(second_factors::table).values(row);
    insert.on_conflict(second_factors::user_id).do_update().set(other).execute(connection).await?;
    Ok(())
}

/// Replaces a sealed secret by the same secret under another seal.
pub async fn reseal(connection: &mut Connection, user: UserId, old: Vec<u8>, new: Vec<u8>) -> Result<()> {
    let target = second_factors::table.find(user.0).filter(second_factors::secret.eq(old));
    diesel::update(target).set(second_factors::secret.eq(new)).execute(connection).await?;
    Ok(())
}

/// Returns the sealed secrets of at most `limit` users with an app whose ids follow one, in their order.
pub async fn secrets(connection: &mut Connection, after: UserId, limit: i64) -> Result<Vec<(UserId, Vec<u8>)>> {
    let query = second_factors::table.filter(second_factors::user_id.gt(after.0)).order(second_factors::user_id);
    let query = query.filter(second_factors::secret.ne(Vec::<u8>::new()));
    let query = query.select((second_factors::user_id, second_factors::secret)).limit(limit);
    let rows: Vec<(Uuid, Vec<u8>)> = query.load(connection).await?;
    Ok(rows.into_iter().map(|(user, secret)| (UserId(user), secret)).collect())
}

/// Sets when a reset removes the factor, unless one waits. Returns the time.
pub async fn request_reset(connection: &mut Connection, user: UserId, at: DateTime<Utc>) -> Result<DateTime<Utc>> {
    let none = second_factors::table.find(user.0).filter(second_factors::reset_at.is_null());
    diesel::update(none).set(second_factors::reset_at.eq(at)).execute(connection).await?;
    let query = second_factors::table.find(user.0).select(second_factors::reset_at.assume_not_null());
    Ok(query.first(connection).await?)
}

/// Returns at most `limit` users whose resets are due.
pub async fn due_resets(connection: &mut Connection, now: DateTime<Utc>, limit: i64) -> Result<Vec<UserId>> {
    let query = second_factors::table.filter(second_factors::reset_at.le(now)).order(second_factors::reset_at);
    let users: Vec<Uuid> = query.select(second_factors::user_id).limit(limit).load(connection).await?;
    Ok(users.into_iter().map(UserId).collect())
}

/// Removes the app and the recovery codes of a user; with a time, only if a reset is due by then. Returns whether it did.
pub async fn delete(connection: &mut Connection, user: UserId, due_by: Option<DateTime<Utc>>) -> Result<bool> {
    let target = second_factors::table.find(user.0);
    let deleted = match due_by {
        Some(now) => diesel::delete(target.filter(second_factors::reset_at.le(now))).execute(connection).await?,
        None => diesel::delete(target).execute(connection).await?,
    };
    Ok(deleted == 1)
}
