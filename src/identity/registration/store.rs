//! Registrations in SQL.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::{
    identity::{
        registration::{id::RegistrationId, model::Registration},
        user::model::{EmailAddress, Language},
    },
    schema::registrations,
};
use mainstay_kernel::{
    database::{Connection, integrity::corrupt},
    error::Result,
};

/// Stores a new registration, without a token.
pub async fn insert(connection: &mut Connection, registration: &Registration) -> Result<()> {
    let row = (
        registrations::id.eq(registration.id),
        registrations::email.eq(registration.email.as_str()),
        registrations::language.eq(registration.language.as_str()),
        registrations::expires_at.eq(registration.expires_at),
    );
    diesel::insert_into(registrations::table).values(row).execute(connection).await?;
    Ok(())
}

/// Returns one registration, if it exists.
pub async fn find(connection: &mut Connection, id: RegistrationId) -> Result<Option<Registration>> {
    let fields = (registrations::email, registrations::language, registrations::expires_at);
    let query = registrations::table.find(id).select(fields);
    let row: Option<(String, String, DateTime<Utc>)> = query.first(connection).await.optional()?;
    let Some((email, language, expires_at)) = row else { return Ok(None) };
    let (email, language) = read(id, &email, &language)?;
    Ok(Some(Registration { id, email, language, expires_at }))
}

fn read(id: RegistrationId, email: &str, language: &str) -> Result<(EmailAddress, Language)> {
    let email = EmailAddress::find(email).map_err(|_| corrupt("registrations", id, "email"))?;
    let language = Language::parse(language).map_err(|_| corrupt("registrations", id, "language"))?;
    Ok((email, language))
}

/// Stores the hash of a registration's token, and when it expires.
pub async fn set_token(
    connection: &mut Connection,
    id: RegistrationId,
    token_hash: [u8; 32],
    expires_at: DateTime<Utc>,
) -> Result<()> {
    let token = (registrations::token_hash.eq(token_hash.to_vec()), registrations::expires_at.eq(expires_at));
    diesel::update(registrations::table.find(id)).set(token).execute(connection).await?;
    Ok(())
}

/// Returns the address that a token was sent to; `None` if the token is invalid.
pub async fn address(
    connection: &mut Connection,
    token_hash: [u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<EmailAddress>> {
    let valid = registrations::table.filter(registrations::token_hash.eq(token_hash.to_vec()));
    let valid = valid.filter(registrations::expires_at.gt(now)).select((registrations::id, registrations::email));
    let row: Option<(RegistrationId, String)> = valid.first(connection).await.optional()?;
    row.map(|(id, email)| EmailAddress::find(&email).map_err(|_| corrupt("registrations", id, "email"))).transpose()
}

/// Consumes a token and all other registrations of its address. Returns the address and its language, or `None` if the
/// token is invalid or a concurrent request consumed it first.
pub async fn take(
    connection: &mut Connection,
    token_hash: [u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<(EmailAddress, Language)>> {
    let valid = registrations::table
        .filter(registrations::token_hash.eq(token_hash.to_vec()))
        .filter(registrations::expires_at.gt(now));
    let used = diesel::delete(valid).returning((registrations::id, registrations::email, registrations::language));
    let used: Option<(RegistrationId, String, String)> = used.get_result(connection).await.optional()?;
    let Some((id, email, language)) = used else { return Ok(None) };
    diesel::delete(registrations::table.filter(registrations::email.eq(&email))).execute(connection).await?;
    read(id, &email, &language).map(Some)
}

/// Removes at most `limit` registrations that expired before `before`; returns how many.
pub async fn delete_expired(connection: &mut Connection, before: DateTime<Utc>, limit: i64) -> Result<usize> {
    let expired = registrations::table.filter(registrations::expires_at.lt(before));
    let ids: Vec<RegistrationId> = expired.select(registrations::id).limit(limit).load(connection).await?;
    Ok(diesel::delete(registrations::table.filter(registrations::id.eq_any(ids))).execute(connection).await?)
}
