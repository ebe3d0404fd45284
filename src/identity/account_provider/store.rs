//! Providers of accounts in SQL.

use chrono::{DateTime, Utc};
use diesel::{prelude::*, sql_types::Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    identity::{
        account_provider::{
            id::AccountProviderId,
            model::{AccountProvider, GroupRole},
        },
        member::model::{AccountRole, MemberRole},
        role::id::RoleId,
    },
    schema::account_providers,
};
use mainstay_kernel::{
    caller::Visibility,
    database::{
        Connection, already_exists, convert, integrity::corrupt, seek::listed, statement::Prepare as _,
        visibility::visible,
    },
    error::{Error, Result},
    id::AccountId,
    page::{Listed, Page},
};

#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = account_providers, treat_none_as_null = true)]
struct Row {
    id: AccountProviderId,
    account_id: AccountId,
    issuer: String,
    client_id: String,
    client_secret: Option<Vec<u8>>,
    display_name: String,
    enforced_at: Option<DateTime<Utc>>,
    groups_claim: String,
    group_names: Vec<String>,
    group_roles: Vec<String>,
    default_role: i16,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<&AccountProvider> for Row {
    fn from(provider: &AccountProvider) -> Self {
        Self {
            id: provider.id,
            account_id: provider.account,
            issuer: provider.issuer.clone(),
            client_id: provider.client_id.clone(),
            client_secret: provider.client_secret.clone(),
            display_name: provider.display_name.clone(),
            enforced_at: provider.enforced_at,
            groups_claim: provider.groups_claim.clone(),
            group_names: provider.groups.iter().map(|one| one.group.clone()).collect(),
            group_roles: provider.groups.iter().map(|one| write_role(one.role)).collect(),
            default_role: provider.default_role.number(),
            version: provider.version,
            created_at: provider.created_at,
            updated_at: provider.updated_at,
        }
    }
}

impl TryFrom<Row> for AccountProvider {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let id = row.id;
        let group = |(group, role): (String, String)| {
            let role = read_role(&role).ok_or_else(|| corrupt("account_providers", id, "group_roles"))?;
            Ok(GroupRole { group, role })
        };
        let default_role = AccountRole::from_number(row.default_role.into());
        Ok(Self {
            id,
            account: row.account_id,
            issuer: row.issuer,
            client_id: row.client_id,
            client_secret: row.client_secret,
            display_name: row.display_name,
            enforced_at: row.enforced_at,
            groups_claim: row.groups_claim,
            groups: row.group_names.into_iter().zip(row.group_roles).map(group).collect::<Result<_>>()?,
            default_role: default_role.ok_or_else(|| corrupt("account_providers", id, "default_role"))?,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

fn write_role(role: MemberRole) -> String {
    match role {
        MemberRole::BuiltIn(role) => role.number().to_string(),
        MemberRole::Custom(id) => id.to_string(),
    }
}

fn read_role(text: &str) -> Option<MemberRole> {
    let built_in = text.parse::<i16>().ok();
    let custom = || text.parse::<Uuid>().ok().map(|id| MemberRole::Custom(RoleId(id)));
    built_in.map_or_else(custom, |number| AccountRole::from_number(number.into()).map(MemberRole::BuiltIn))
}

visible!(account_providers);

fn matching<'q>(visibility: Visibility, account: Option<AccountId>) -> Boxed<'q> {
    let query = visible(visibility);
    match account {
        Some(account) => query.filter(account_providers::account_id.eq(account)),
        None => query,
    }
}

/// Stores a new provider.
///
/// # Errors
/// `ALREADY_EXISTS` if the account has one.
pub async fn insert(connection: &Connection, provider: &AccountProvider) -> Result<()> {
    let inserted = diesel::insert_into(account_providers::table).values(Row::from(provider));
    let inserted = inserted.execute(&mut &*connection).await;
    inserted.map(drop).map_err(already_exists("account_providers_account_id_key", "The account has a provider."))
}

/// Returns one provider that is visible to the caller.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, visibility: Visibility, id: AccountProviderId) -> Result<AccountProvider> {
    let query = matching(visibility, None).filter(account_providers::id.eq(id)).select(Row::as_select());
    convert::found::<Row, _>(query.first(&mut &*connection).await, "provider of an account")
}

/// Returns one provider, locked against changes until the transaction ends.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn lock(connection: &Connection, id: AccountProviderId) -> Result<AccountProvider> {
    let query = account_providers::table.find(id).select(Row::as_select()).for_update();
    convert::found::<Row, _>(query.first(&mut &*connection).await, "provider of an account")
}

/// Returns the provider of an account, if it has one.
pub async fn of_account(connection: &Connection, account: AccountId) -> Result<Option<AccountProvider>> {
    let query = account_providers::table.filter(account_providers::account_id.eq(account)).select(Row::as_select());
    convert::optional::<Row, _>(query.first(&mut &*connection).await)
}

/// Stores the next version of a locked provider.
pub async fn update(connection: &Connection, provider: &AccountProvider) -> Result<()> {
    let target = account_providers::table.filter(account_providers::id.eq(provider.id));
    let target = target.filter(account_providers::version.eq(provider.version - 1));
    let update = diesel::update(target).set(Row::from(provider)).exactly(1, "update account_providers");
    update.execute(&mut &*connection).await?;
    Ok(())
}

/// Removes a locked provider with its sessions, whose access tokens are revoked, and its identities.
pub async fn delete(connection: &Connection, id: AccountProviderId) -> Result<()> {
    const REVOKE: &str = "INSERT INTO revocations (subject, revoked_at) \
                          SELECT id, clock_timestamp() FROM sessions WHERE provider_id = $1 \
                          ON CONFLICT (subject) DO UPDATE SET epoch = NULL, kept_session_id = NULL, \
                          revoked_at = excluded.revoked_at";
    diesel::sql_query(REVOKE).bind::<SqlUuid, _>(id.0).execute(&mut &*connection).await?;
    let delete = diesel::delete(account_providers::table.find(id)).exactly(1, "delete account_providers");
    delete.execute(&mut &*connection).await?;
    Ok(())
}

/// Begins a new version of every member of an account who is no owner, so that their access tokens are refused.
pub async fn outdate_tokens(connection: &Connection, account: AccountId) -> Result<()> {
    const SQL: &str = "WITH outdated AS (UPDATE members SET version = version + 1 \
                         WHERE account_id = $1 AND role IS DISTINCT FROM $2 RETURNING id, version) \
                       INSERT INTO revocations (subject, epoch, revoked_at) \
                       SELECT id, version::integer, clock_timestamp() FROM outdated \
                       ON CONFLICT (subject) DO UPDATE SET epoch = excluded.epoch, kept_session_id = NULL, \
                       revoked_at = excluded.revoked_at";
    let owner = AccountRole::Owner.number();
    let outdate = diesel::sql_query(SQL).bind::<SqlUuid, _>(account.0);
    outdate.bind::<diesel::sql_types::SmallInt, _>(owner).execute(&mut &*connection).await?;
    Ok(())
}

/// Returns a page of providers, newest first.
pub async fn list(
    connection: &Connection,
    visibility: Visibility,
    account: Option<AccountId>,
    page: Page,
) -> Result<Listed<AccountProvider>> {
    listed!(connection, matching(visibility, account), account_providers::created_at, page, Row => AccountProvider)
}

/// Returns the sealed secrets of at most `limit` providers whose ids follow one, in their order.
pub async fn secrets(
    connection: &Connection,
    after: AccountProviderId,
    limit: i64,
) -> Result<Vec<(AccountProviderId, Vec<u8>)>> {
    let query = account_providers::table.filter(account_providers::id.gt(after)).order(account_providers::id);
    let query = query.filter(account_providers::client_secret.is_not_null());
    let query = query.select((account_providers::id, account_providers::client_secret.assume_not_null())).limit(limit);
    Ok(query.load(&mut &*connection).await?)
}

/// Replaces a sealed secret, unless it was changed meanwhile.
pub async fn reseal(connection: &Connection, id: AccountProviderId, old: Vec<u8>, new: Vec<u8>) -> Result<()> {
    let target = account_providers::table.find(id).filter(account_providers::client_secret.eq(old));
    diesel::update(target).set(account_providers::client_secret.eq(new)).execute(&mut &*connection).await?;
    Ok(())
}
