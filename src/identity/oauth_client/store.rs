//! Registered clients in SQL.

use chrono::{DateTime, Utc};
use diesel::{prelude::*, sql_types::Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    identity::oauth_client::{
        id::OauthClientId,
        model::{GrantType, OauthClient},
    },
    schema::{oauth_clients, revocations},
};
use mainstay_kernel::{
    database::{Connection, count, integrity::corrupt, seek::newest_first, statement::Prepare as _},
    error::{Error, Result},
    id::{AccountId, SessionId},
    page::{Page, Total},
};

#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = oauth_clients, treat_none_as_null = true)]
struct Row {
    id: OauthClientId,
    name: String,
    redirect_uris: Vec<String>,
    post_logout_redirect_uris: Vec<String>,
    grant_types: Vec<i16>,
    scopes: Vec<String>,
    is_first_party: bool,
    account_id: Option<AccountId>,
    credentials_epoch: i32,
    earlier_expires_at: Option<DateTime<Utc>>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

type Found = (Row, Option<Vec<u8>>);
/// A row with the hashes of the current and the earlier secret.
type FoundWithHashes = (Row, Option<Vec<u8>>, Option<Vec<u8>>);

fn read((row, secret): Found) -> Result<OauthClient> {
    let grant = |number: &i16| GrantType::from_number((*number).into());
    let grants: Option<Vec<_>> = row.grant_types.iter().map(grant).collect();
    Ok(OauthClient {
        grant_types: grants.ok_or_else(|| corrupt("oauth_clients", row.id, "grant_types"))?,
        id: row.id,
        name: row.name,
        redirect_uris: row.redirect_uris,
        post_logout_redirect_uris: row.post_logout_redirect_uris,
        scopes: row.scopes,
        is_confidential: secret.is_some(),
        is_first_party: row.is_first_party,
        account: row.account_id,
        credentials_epoch: row.credentials_epoch,
        earlier_expires_at: row.earlier_expires_at,
        version: row.version,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

impl From<&OauthClient> for Row {
    fn from(client: &OauthClient) -> Self {
        Self {
            id: client.id,
            name: client.name.clone(),
            redirect_uris: client.redirect_uris.clone(),
            post_logout_redirect_uris: client.post_logout_redirect_uris.clone(),
            grant_types: client.grant_types.iter().map(|grant| grant.number()).collect(),
            scopes: client.scopes.clone(),
            is_first_party: client.is_first_party,
            account_id: client.account,
            credentials_epoch: client.credentials_epoch,
            earlier_expires_at: client.earlier_expires_at,
            version: client.version,
            created_at: client.created_at,
            updated_at: client.updated_at,
        }
    }
}

/// The hashes of the secrets of a client.
#[derive(Debug)]
pub struct Hashes {
    pub current: Option<Vec<u8>>,
    /// That of the secret before the last rotation.
    pub earlier: Option<Vec<u8>>,
}

/// Stores a new client with the hash of its secret.
pub async fn insert(connection: &Connection, client: &OauthClient, secret_hash: Option<[u8; 32]>) -> Result<()> {
    let row = (Row::from(client), oauth_clients::secret_hash.eq(secret_hash.map(|hash| hash.to_vec())));
    diesel::insert_into(oauth_clients::table).values(row).execute(&mut &*connection).await?;
    Ok(())
}

/// Returns one client.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, id: OauthClientId) -> Result<OauthClient> {
    let query = oauth_clients::table.find(id).select((Row::as_select(), oauth_clients::secret_hash));
    let found: Option<Found> = query.first(&mut &*connection).await.optional()?;
    read(found.ok_or_else(|| Error::not_found("client"))?)
}

/// Returns one client, locked until the transaction ends.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn lock(connection: &Connection, id: OauthClientId) -> Result<OauthClient> {
    let query = oauth_clients::table.find(id).select((Row::as_select(), oauth_clients::secret_hash));
    let found: Option<Found> = query.for_update().first(&mut &*connection).await.optional()?;
    read(found.ok_or_else(|| Error::not_found("client"))?)
}

/// Returns one client with the hashes of its secrets, for authentication.
pub async fn with_hashes(connection: &mut Connection, id: OauthClientId) -> Result<Option<(OauthClient, Hashes)>> {
    let columns = (Row::as_select(), oauth_clients::secret_hash, oauth_clients::earlier_secret_hash);
    let query = oauth_clients::table.find(id).select(columns);
    let found: Option<FoundWithHashes> = query.first(connection).await.optional()?;
    let Some((row, current, earlier)) = found else { return Ok(None) };
    Ok(Some((read((row, current.clone()))?, Hashes { current, earlier })))
}

/// Returns one client with the hashes of its secrets, unless a token of the client itself was revoked.
pub async fn of_token(
    connection: &mut Connection,
    id: OauthClientId,
    token: SessionId,
) -> Result<Option<(OauthClient, Hashes)>> {
    let revoked = diesel::dsl::exists(revocations::table.find(token.0));
    let query = oauth_clients::table.filter(oauth_clients::id.eq(id)).filter(diesel::dsl::not(revoked));
    let query = query.select((Row::as_select(), oauth_clients::secret_hash, oauth_clients::earlier_secret_hash));
    let found: Option<FoundWithHashes> = query.first(connection).await.optional()?;
    let Some((row, current, earlier)) = found else { return Ok(None) };
    Ok(Some((read((row, current.clone()))?, Hashes { current, earlier })))
}

/// Keeps a client from being deleted until the transaction ends. Returns `false` if it is gone. The lock is taken before those on
/// its requests and consents, in the order of a deletion.
pub async fn keep(connection: &Connection, id: OauthClientId) -> Result<bool> {
    let query = oauth_clients::table.find(id).select(oauth_clients::id).for_key_share();
    let found: Option<OauthClientId> = query.first(&mut &*connection).await.optional()?;
    Ok(found.is_some())
}

/// Returns those of some clients that are of an account.
pub async fn of_account(connection: &Connection, account: AccountId, ids: Vec<Uuid>) -> Result<Vec<Uuid>> {
    let ids = ids.into_iter().map(OauthClientId);
    let clients = oauth_clients::table.filter(oauth_clients::account_id.eq(account));
    let clients = clients.filter(oauth_clients::id.eq_any(ids)).select(oauth_clients::id);
    let clients: Vec<OauthClientId> = clients.load(&mut &*connection).await?;
    Ok(clients.into_iter().map(|id| id.0).collect())
}

/// Removes the clients of an account, whose tokens end on every instance; returns how many.
pub async fn end_of_account(connection: &Connection, account: AccountId) -> Result<usize> {
    // Other instances poll by the clock of Postgres.
    const SQL: &str = "WITH ended AS (DELETE FROM oauth_clients WHERE account_id = $1 RETURNING id) \
                       INSERT INTO revocations (subject, revoked_at) SELECT id, clock_timestamp() FROM ended \
                       ON CONFLICT (subject) DO UPDATE SET epoch = NULL, kept_session_id = NULL, \
                           revoked_at = excluded.revoked_at";
    Ok(diesel::sql_query(SQL).bind::<SqlUuid, _>(account).execute(&mut &*connection).await?)
}

/// Returns a page of clients, newest first.
pub async fn list(mut connection: &Connection, page: Page) -> Result<Vec<OauthClient>> {
    let query = newest_first!(oauth_clients::table.into_boxed(), oauth_clients::created_at, page);
    let query = query.select((Row::as_select(), oauth_clients::secret_hash));
    let rows: Vec<Found> = query.load(&mut connection).await?;
    rows.into_iter().map(read).collect()
}

/// Counts the clients, up to a bound.
pub async fn total(connection: &Connection) -> Result<Total> {
    let limited = oauth_clients::table.into_boxed().select(oauth_clients::id).limit(count::BOUND + 1);
    count::bounded(connection, Box::new(limited)).await
}

/// Stores the next version of a locked client.
pub async fn update(connection: &Connection, client: &OauthClient) -> Result<()> {
    let target = oauth_clients::table.filter(oauth_clients::id.eq(client.id));
    let target = target.filter(oauth_clients::version.eq(client.version - 1));
    diesel::update(target).set(Row::from(client)).exactly(1, "update oauth_clients").execute(&mut &*connection).await?;
    Ok(())
}

/// Stores a locked client with the hash of its new secret. That of the present one is kept if it remains valid.
pub async fn rotate(connection: &Connection, client: &OauthClient, secret_hash: [u8; 32]) -> Result<()> {
    let target = oauth_clients::table.find(client.id);
    let new = oauth_clients::secret_hash.eq(Some(secret_hash.to_vec()));
    let connection = &mut &*connection;
    match client.earlier_expires_at {
        Some(_) => {
            let set = (Row::from(client), new, oauth_clients::earlier_secret_hash.eq(oauth_clients::secret_hash));
            diesel::update(target).set(set).exactly(1, "rotate oauth_clients").execute(connection).await?;
        }
        None => {
            let set = (Row::from(client), new, oauth_clients::earlier_secret_hash.eq(None::<Vec<u8>>));
            diesel::update(target).set(set).exactly(1, "rotate oauth_clients").execute(connection).await?;
        }
    }
    Ok(())
}

/// Removes a locked client, with its codes and consents.
pub async fn delete(connection: &Connection, id: OauthClientId) -> Result<()> {
    let delete = diesel::delete(oauth_clients::table.find(id)).exactly(1, "delete oauth_clients");
    delete.execute(&mut &*connection).await?;
    Ok(())
}
