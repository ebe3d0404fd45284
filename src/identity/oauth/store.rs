//! Codes and consents in SQL.

pub mod device;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use mainstay_kernel::{
    database::{Connection, integrity::corrupt},
    error::Result,
    id::{SessionId, UserId},
};

use crate::{
    identity::{
        member::id::MemberId,
        oauth::model::{Code, Consent},
        oauth_client::id::OauthClientId,
    },
    schema::{oauth_clients, oauth_codes, oauth_consents},
};

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = oauth_codes, treat_none_as_default_value = false)]
struct Row {
    client_id: OauthClientId,
    user_id: UserId,
    session_id: SessionId,
    member_id: Option<MemberId>,
    redirect_uri: String,
    scopes: Vec<String>,
    nonce: Option<String>,
    challenge: Vec<u8>,
    expires_at: DateTime<Utc>,
    grant_id: Option<SessionId>,
}

/// Stores a code by its hash.
pub async fn insert_code(connection: &Connection, code: Code, hash: [u8; 32]) -> Result<()> {
    let row = Row {
        client_id: code.client,
        user_id: code.user,
        session_id: code.session,
        member_id: code.member,
        redirect_uri: code.redirect_uri,
        scopes: code.scopes,
        nonce: code.nonce,
        challenge: code.challenge.to_vec(),
        expires_at: code.expires_at,
        grant_id: code.grant,
    };
    let values = (row, oauth_codes::code_hash.eq(hash.to_vec()));
    diesel::insert_into(oauth_codes::table).values(values).execute(&mut &*connection).await?;
    Ok(())
}

/// Returns the code of a hash.
pub async fn find_code(connection: &mut Connection, hash: [u8; 32]) -> Result<Option<Code>> {
    let query = oauth_codes::table.find(hash.to_vec()).select(Row::as_select());
    let row: Option<Row> = query.first(connection).await.optional()?;
    row.map(|row| {
        let challenge = row.challenge.try_into().map_err(|_| corrupt("oauth_codes", row.session_id, "challenge"))?;
        Ok(Code {
            client: row.client_id,
            user: row.user_id,
            session: row.session_id,
            member: row.member_id,
            redirect_uri: row.redirect_uri,
            scopes: row.scopes,
            nonce: row.nonce,
            challenge,
            expires_at: row.expires_at,
            grant: row.grant_id,
        })
    })
    .transpose()
}

/// Marks a code as used by the session that it begins. Returns `false` if it was used before.
pub async fn use_code(connection: &Connection, hash: [u8; 32], grant: SessionId) -> Result<bool> {
    let unused = oauth_codes::table.filter(oauth_codes::code_hash.eq(hash.to_vec()));
    let unused = unused.filter(oauth_codes::grant_id.is_null());
    let used = diesel::update(unused).set(oauth_codes::grant_id.eq(grant)).execute(&mut &*connection).await?;
    Ok(used == 1)
}

/// Removes at most `limit` codes that expired before a time; returns how many.
pub async fn delete_expired_codes(connection: &mut Connection, before: DateTime<Utc>, limit: i64) -> Result<usize> {
    let expired = oauth_codes::table.filter(oauth_codes::expires_at.lt(before));
    let hashes: Vec<Vec<u8>> = expired.select(oauth_codes::code_hash).limit(limit).load(connection).await?;
    let delete = diesel::delete(oauth_codes::table.filter(oauth_codes::code_hash.eq_any(hashes)));
    Ok(delete.execute(connection).await?)
}

/// Returns the scopes to which a user has agreed.
pub async fn find_consent(connection: &mut Connection, user: UserId, client: OauthClientId) -> Result<Vec<String>> {
    let query = oauth_consents::table.find((user, client)).select(oauth_consents::scopes);
    let scopes: Option<Vec<String>> = query.first(connection).await.optional()?;
    Ok(scopes.unwrap_or_default())
}

/// Stores the scopes to which a user has agreed.
pub async fn put_consent(
    connection: &Connection,
    user: UserId,
    client: OauthClientId,
    scopes: &[String],
    now: DateTime<Utc>,
) -> Result<()> {
    let row = (
        oauth_consents::user_id.eq(user),
        oauth_consents::client_id.eq(client),
        oauth_consents::scopes.eq(scopes),
        oauth_consents::created_at.eq(now),
        oauth_consents::updated_at.eq(now),
    );
    let insert = diesel::insert_into(oauth_consents::table).values(row);
    let insert = insert.on_conflict((oauth_consents::user_id, oauth_consents::client_id));
    let update = insert.do_update().set((oauth_consents::scopes.eq(scopes), oauth_consents::updated_at.eq(now)));
    update.execute(&mut &*connection).await?;
    Ok(())
}

/// Returns the consents of a user, by the name of the application.
pub async fn list_consents(mut connection: &Connection, user: UserId) -> Result<Vec<Consent>> {
    type Found = (OauthClientId, String, Vec<String>, DateTime<Utc>, DateTime<Utc>);
    let query = oauth_consents::table.inner_join(oauth_clients::table).filter(oauth_consents::user_id.eq(user));
    let columns = (
        oauth_clients::id,
        oauth_clients::name,
        oauth_consents::scopes,
        oauth_consents::created_at,
        oauth_consents::updated_at,
    );
    let rows: Vec<Found> =
        query.select(columns).order((oauth_clients::name, oauth_clients::id)).load(&mut connection).await?;
    let consent = |(client, client_name, scopes, created_at, updated_at)| Consent {
        client,
        client_name,
        scopes,
        created_at,
        updated_at,
    };
    Ok(rows.into_iter().map(consent).collect())
}

/// Removes a consent, and the codes that were issued with it. Returns `false` if there is no consent.
pub async fn delete_consent(connection: &Connection, user: UserId, client: OauthClientId) -> Result<bool> {
    let delete = diesel::delete(oauth_consents::table.find((user, client)));
    let is_deleted = delete.execute(&mut &*connection).await? == 1;
    let codes = oauth_codes::table.filter(oauth_codes::user_id.eq(user)).filter(oauth_codes::client_id.eq(client));
    diesel::delete(codes).execute(&mut &*connection).await?;
    Ok(is_deleted)
}
