//! Service keys in SQL.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use ipnet::IpNet;
use uuid::Uuid;

use crate::{
    identity::{
        member::id::MemberId,
        service_key::model::{Filter, Holder, ServiceKey},
    },
    schema::service_keys,
};
use mainstay_kernel::{
    caller::Visibility,
    database::{Connection, convert, integrity::corrupt, seek::listed, statement::Prepare as _},
    error::{Error, Result},
    id::{AccountId, ServiceKeyId, UserId},
    page::{Listed, Page},
};

#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = service_keys, treat_none_as_null = true)]
struct Row {
    id: ServiceKeyId,
    account_id: Option<AccountId>,
    member_id: Option<MemberId>,
    user_id: Option<UserId>,
    name: String,
    scopes: Vec<String>,
    allowed_networks: Vec<String>,
    known_networks: Vec<String>,
    created_by: UserId,
    version: i64,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    earlier_expires_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for ServiceKey {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let id = row.id;
        let holder = match (row.account_id, row.member_id, row.user_id) {
            (None, None, None) => Holder::Platform,
            (Some(account), None, None) => Holder::Account(account),
            (Some(account), Some(member), Some(user)) => Holder::Person { account, member, user },
            _ => return Err(corrupt("service_keys", id, "account_id")),
        };
        let networks = |texts: Vec<String>, column| {
            let read = |text: String| text.parse().map_err(|_| corrupt("service_keys", id, column));
            texts.into_iter().map(read).collect::<Result<Vec<IpNet>>>()
        };
        Ok(Self {
            id,
            holder,
            name: row.name,
            scopes: row.scopes,
            allowed_networks: networks(row.allowed_networks, "allowed_networks")?,
            known_networks: networks(row.known_networks, "known_networks")?,
            created_by: row.created_by,
            version: row.version,
            created_at: row.created_at,
            expires_at: row.expires_at,
            earlier_expires_at: row.earlier_expires_at,
            last_used_at: row.last_used_at,
            revoked_at: row.revoked_at,
        })
    }
}

impl From<&ServiceKey> for Row {
    fn from(key: &ServiceKey) -> Self {
        let (member_id, user_id) = key.holder.person().unzip();
        let texts = |networks: &[IpNet]| networks.iter().map(ToString::to_string).collect();
        Self {
            id: key.id,
            account_id: key.holder.account(),
            member_id,
            user_id,
            name: key.name.clone(),
            scopes: key.scopes.clone(),
            allowed_networks: texts(&key.allowed_networks),
            known_networks: texts(&key.known_networks),
            created_by: key.created_by,
            version: key.version,
            created_at: key.created_at,
            expires_at: key.expires_at,
            earlier_expires_at: key.earlier_expires_at,
            last_used_at: key.last_used_at,
            revoked_at: key.revoked_at,
        }
    }
}

/// The hashes of the secrets of a key.
#[derive(Debug)]
pub struct Hashes {
    pub current: Vec<u8>,
    /// That of the secret before the last rotation.
    pub earlier: Option<Vec<u8>>,
}

type Boxed<'q> = service_keys::BoxedQuery<'q, diesel::pg::Pg>;

/// Selects the keys that a caller reaches.
fn visible<'q>(visibility: Visibility) -> Boxed<'q> {
    let query = service_keys::table.into_boxed();
    match visibility {
        Visibility::All => query,
        Visibility::Account(account) => query.filter(service_keys::account_id.eq(account)),
        Visibility::Principal(user) => query.filter(service_keys::user_id.eq(UserId(user))),
    }
}

fn matching<'q>(visibility: Visibility, filter: Filter) -> Boxed<'q> {
    let mut query = visible(visibility);
    if let Some(user) = filter.created_by {
        query = query.filter(service_keys::created_by.eq(user));
    }
    match filter.account {
        Some(account) => query.filter(service_keys::account_id.eq(account)),
        None => query,
    }
}

/// Stores a new key with the hash of its secret.
pub async fn insert(connection: &Connection, key: &ServiceKey, secret_hash: [u8; 32]) -> Result<()> {
    let row = (Row::from(key), service_keys::secret_hash.eq(secret_hash.to_vec()));
    diesel::insert_into(service_keys::table).values(row).execute(&mut &*connection).await?;
    Ok(())
}

/// Counts the unrevoked keys of a holder: of an account without its personal access tokens, or of a user in all accounts.
pub async fn count_unrevoked(connection: &Connection, holder: Holder) -> Result<i64> {
    let keys = match holder {
        Holder::Platform => visible(Visibility::All).filter(service_keys::account_id.is_null()),
        Holder::Account(account) => visible(Visibility::Account(account)).filter(service_keys::user_id.is_null()),
        Holder::Person { user, .. } => visible(Visibility::Principal(user.0)),
    };
    Ok(keys.filter(service_keys::revoked_at.is_null()).count().get_result(&mut &*connection).await?)
}

/// Returns one key that is visible to the caller.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, visibility: Visibility, id: ServiceKeyId) -> Result<ServiceKey> {
    let query = visible(visibility).filter(service_keys::id.eq(id)).select(Row::as_select());
    convert::found::<Row, _>(query.first(&mut &*connection).await, "service key")
}

/// Returns one key that is visible to the caller, locked until the transaction ends.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn lock(connection: &Connection, visibility: Visibility, id: ServiceKeyId) -> Result<ServiceKey> {
    // A boxed query has no lock clause, so visibility is checked on the row. The error is the same.
    let query = service_keys::table.find(id).select(Row::as_select()).for_no_key_update();
    let row: Option<Row> = query.first(&mut &*connection).await.optional()?;
    let is_reached = |row: &Row| match visibility {
        Visibility::All => true,
        Visibility::Account(account) => row.account_id == Some(account),
        Visibility::Principal(user) => row.user_id == Some(UserId(user)),
    };
    row.filter(is_reached).ok_or_else(|| Error::not_found("service key"))?.try_into()
}

/// Returns one key with the hashes of its secrets, for authentication.
pub async fn with_hashes(connection: &mut Connection, id: ServiceKeyId) -> Result<Option<(ServiceKey, Hashes)>> {
    let columns = (Row::as_select(), service_keys::secret_hash, service_keys::earlier_secret_hash);
    let query = service_keys::table.find(id).select(columns);
    let row: Option<(Row, Vec<u8>, Option<Vec<u8>>)> = query.first(connection).await.optional()?;
    row.map(|(row, current, earlier)| Ok((row.try_into()?, Hashes { current, earlier }))).transpose()
}

/// Returns those of these ids that are keys of an account.
pub async fn of_account(connection: &Connection, account: AccountId, ids: Vec<Uuid>) -> Result<Vec<Uuid>> {
    let ids = ids.into_iter().map(ServiceKeyId);
    let keys = service_keys::table.filter(service_keys::account_id.eq(account)).filter(service_keys::id.eq_any(ids));
    let keys: Vec<ServiceKeyId> = keys.select(service_keys::id).load(&mut &*connection).await?;
    Ok(keys.into_iter().map(|id| id.0).collect())
}

/// Returns a page of keys, newest first.
pub async fn list(
    connection: &Connection,
    visibility: Visibility,
    filter: Filter,
    page: Page,
) -> Result<Listed<ServiceKey>> {
    listed!(connection, matching(visibility, filter), service_keys::created_at, page, Row => ServiceKey)
}

/// Stores a locked key.
pub async fn update(connection: &Connection, key: &ServiceKey) -> Result<()> {
    let target = service_keys::table.find(key.id);
    diesel::update(target).set(Row::from(key)).exactly(1, "update service_keys").execute(&mut &*connection).await?;
    Ok(())
}

/// Stores a locked key with the hash of its new secret. That of the present one is kept if it remains valid.
pub async fn rotate(connection: &Connection, key: &ServiceKey, secret_hash: [u8; 32]) -> Result<()> {
    let target = service_keys::table.find(key.id);
    let new = service_keys::secret_hash.eq(secret_hash.to_vec());
    let connection = &mut &*connection;
    match key.earlier_expires_at {
        Some(_) => {
            let earlier = service_keys::earlier_secret_hash.eq(service_keys::secret_hash.nullable());
            let set = (Row::from(key), new, earlier);
            diesel::update(target).set(set).exactly(1, "rotate service_keys").execute(connection).await?;
        }
        None => {
            let set = (Row::from(key), new, service_keys::earlier_secret_hash.eq(None::<Vec<u8>>));
            diesel::update(target).set(set).exactly(1, "rotate service_keys").execute(connection).await?;
        }
    }
    Ok(())
}

/// Revokes the personal access tokens of a user.
pub async fn revoke_of_user(connection: &Connection, user: UserId, now: DateTime<Utc>) -> Result<()> {
    let valid = service_keys::table.filter(service_keys::user_id.eq(user)).filter(service_keys::revoked_at.is_null());
    diesel::update(valid).set(service_keys::revoked_at.eq(now)).execute(&mut &*connection).await?;
    Ok(())
}

/// Revokes all keys of an account, with its personal access tokens, on every instance.
pub async fn revoke_of_account(connection: &Connection, account: AccountId, now: DateTime<Utc>) -> Result<()> {
    // Other instances poll by the clock of Postgres.
    const SQL: &str = "WITH ended AS (UPDATE service_keys SET revoked_at = $2 \
                           WHERE account_id = $1 AND revoked_at IS NULL RETURNING id) \
                       INSERT INTO revocations (subject, revoked_at) SELECT id, clock_timestamp() FROM ended \
                       ON CONFLICT (subject) DO UPDATE SET epoch = NULL, kept_session_id = NULL, \
                           revoked_at = excluded.revoked_at";
    let statement = diesel::sql_query(SQL).bind::<SqlUuid, _>(account).bind::<Timestamptz, _>(now);
    statement.execute(&mut &*connection).await?;
    Ok(())
}

/// Removes the keys of a name.
pub async fn erase(connection: &mut Connection, name: &str) -> Result<usize> {
    Ok(diesel::delete(service_keys::table.filter(service_keys::name.eq(name))).execute(connection).await?)
}
