//! Requested password resets.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::{
    identity::user::model::EmailAddress,
    schema::{password_resets, users},
};
use mainstay_kernel::{
    database::{Connection, integrity::corrupt},
    error::Result,
    id::UserId,
};

/// Stores the hash of a token, or extends the expiry of a stored one, and removes expired tokens. A used token stays
/// used.
pub async fn insert(
    connection: &mut Connection,
    token_hash: [u8; 32],
    user: UserId,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<()> {
    let expired = password_resets::table.filter(password_resets::expires_at.lt(now));
    diesel::delete(expired).execute(connection).await?;
    let row = (
        password_resets::token_hash.eq(token_hash.to_vec()),
        password_resets::user_id.eq(user),
        password_resets::expires_at.eq(expires_at),
    );
    let insert = diesel::insert_into(password_resets::table).values(row).on_conflict(password_resets::token_hash);
    insert.do_update().set(password_resets::expires_at.eq(expires_at)).execute(connection).await?;
    Ok(())
}

/// Returns the address and the name of a token's user; `None` if the token is invalid, or the user is deactivated.
pub async fn user(
    connection: &mut Connection,
    token_hash: [u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<(EmailAddress, String)>> {
    let query = password_resets::table.find(token_hash.to_vec()).filter(password_resets::used_at.is_null());
    let query = query.filter(password_resets::expires_at.gt(now)).inner_join(users::table);
    let query = query.filter(users::deactivated_at.is_null());
    let row: Option<(UserId, String, String)> =
        query.select((users::id, users::email, users::name)).first(connection).await.optional()?;
    row.map(|(id, email, name)| Ok((EmailAddress::find(&email).map_err(|_| corrupt("users", id, "email"))?, name)))
        .transpose()
}

/// Consumes a token and all other tokens of its user. Returns `None` if the token is invalid or a concurrent request
/// consumed it first.
pub async fn take(connection: &mut Connection, token_hash: [u8; 32], now: DateTime<Utc>) -> Result<Option<UserId>> {
    let valid = password_resets::table
        .filter(password_resets::token_hash.eq(token_hash.to_vec()))
        .filter(password_resets::used_at.is_null())
        .filter(password_resets::expires_at.gt(now));
    let used = diesel::update(valid).set(password_resets::used_at.eq(now)).returning(password_resets::user_id);
    let Some(user) = used.get_result::<UserId>(connection).await.optional()? else { return Ok(None) };
    use_up(connection, user, now).await?;
    Ok(Some(user))
}

/// Consumes all tokens of a user.
pub async fn use_up(connection: &mut Connection, user: UserId, now: DateTime<Utc>) -> Result<()> {
    let others = password_resets::table.filter(password_resets::user_id.eq(user));
    let others = others.filter(password_resets::used_at.is_null());
    diesel::update(others).set(password_resets::used_at.eq(now)).execute(connection).await?;
    Ok(())
}

/// Removes at most `limit` resets that expired before `before`; returns how many.
pub async fn delete_expired(connection: &mut Connection, before: DateTime<Utc>, limit: i64) -> Result<usize> {
    let expired = password_resets::table.filter(password_resets::expires_at.lt(before));
    let hashes: Vec<Vec<u8>> = expired.select(password_resets::token_hash).limit(limit).load(connection).await?;
    let rows = password_resets::table.filter(password_resets::token_hash.eq_any(hashes));
    Ok(diesel::delete(rows).execute(connection).await?)
}
