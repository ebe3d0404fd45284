//! Mail domains in SQL.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Text, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;

use crate::{
    identity::{
        account_domain::{
            id::AccountDomainId,
            model::{AccountDomain, DomainName, State},
        },
        member::model::{AccountRole, MemberRole},
        user::model::EmailAddress,
    },
    schema::{account_domains, accounts, domain_exclusions, members},
};
use mainstay_kernel::{
    caller::Visibility,
    database::{
        Connection, already_exists, convert, integrity::corrupt, seek::listed, statement::Prepare as _,
        violated_unique, visibility::visible,
    },
    error::{Error, Reason, Result},
    id::{AccountId, UserId},
    page::{Listed, Page},
};

#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = account_domains, treat_none_as_null = true)]
struct Row {
    id: AccountDomainId,
    account_id: AccountId,
    domain: String,
    role: i16,
    token: String,
    state: i16,
    failures: i16,
    verified_at: Option<DateTime<Utc>>,
    due_at: Option<DateTime<Utc>>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl TryFrom<Row> for AccountDomain {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let role = AccountRole::from_number(row.role.into());
        let state = State::from_number(row.state.into());
        Ok(Self {
            id: row.id,
            account: row.account_id,
            domain: DomainName::stored(row.domain),
            role: role.ok_or_else(|| corrupt("account_domains", row.id, "role"))?,
            token: row.token,
            state: state.ok_or_else(|| corrupt("account_domains", row.id, "state"))?,
            failures: row.failures,
            verified_at: row.verified_at,
            due_at: row.due_at,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

impl From<&AccountDomain> for Row {
    fn from(domain: &AccountDomain) -> Self {
        Self {
            id: domain.id,
            account_id: domain.account,
            domain: domain.domain.as_str().to_owned(),
            role: domain.role.number(),
            token: domain.token.clone(),
            state: domain.state.number(),
            failures: domain.failures,
            verified_at: domain.verified_at,
            due_at: domain.due_at,
            version: domain.version,
            created_at: domain.created_at,
            updated_at: domain.updated_at,
        }
    }
}

visible!(account_domains);

fn matching<'q>(visibility: Visibility, account: Option<AccountId>) -> Boxed<'q> {
    let query = visible(visibility);
    match account {
        Some(account) => query.filter(account_domains::account_id.eq(account)),
        None => query,
    }
}

/// Stores a new domain.
///
/// # Errors
/// `ALREADY_EXISTS` if the account has the domain.
pub async fn insert(connection: &Connection, domain: &AccountDomain) -> Result<()> {
    let inserted = diesel::insert_into(account_domains::table).values(Row::from(domain));
    let inserted = inserted.execute(&mut &*connection).await;
    inserted.map(drop).map_err(already_exists("account_domains_account_id_domain_key", "The account has the domain."))
}

/// Counts the domains of an account.
pub async fn count(connection: &Connection, account: AccountId) -> Result<i64> {
    let domains = account_domains::table.filter(account_domains::account_id.eq(account));
    Ok(domains.count().get_result(&mut &*connection).await?)
}

/// Returns one domain that is visible to the caller.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, visibility: Visibility, id: AccountDomainId) -> Result<AccountDomain> {
    let query = matching(visibility, None).filter(account_domains::id.eq(id)).select(Row::as_select());
    convert::found::<Row, _>(query.first(&mut &*connection).await, "mail domain")
}

/// Returns one domain, locked against changes until the transaction ends.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn lock(connection: &Connection, id: AccountDomainId) -> Result<AccountDomain> {
    let query = account_domains::table.find(id).select(Row::as_select()).for_no_key_update();
    convert::found::<Row, _>(query.first(&mut &*connection).await, "mail domain")
}

/// Returns the verified domain of a name, if an account has one.
pub async fn verified(connection: &Connection, domain: &str) -> Result<Option<AccountDomain>> {
    let query = account_domains::table.filter(account_domains::domain.eq(domain));
    let query = query.filter(account_domains::state.eq(State::Verified.number())).select(Row::as_select());
    convert::optional::<Row, _>(query.first(&mut &*connection).await)
}

/// Returns at most `limit` verified domains that are to be looked up, the longest due first.
pub async fn due(connection: &Connection, now: DateTime<Utc>, limit: i64) -> Result<Vec<AccountDomain>> {
    let query = account_domains::table.filter(account_domains::due_at.le(now)).order(account_domains::due_at);
    convert::all::<Row, _>(query.select(Row::as_select()).limit(limit).load(&mut &*connection).await)
}

/// Returns the names of lapsed domains of accounts that a user owns, with the names of the accounts.
pub async fn lapsed_of_owner(connection: &Connection, user: UserId, limit: i64) -> Result<Vec<(String, String)>> {
    let (owner, _) = MemberRole::OWNER.columns();
    let owned = members::table.filter(members::user_id.eq(user)).filter(members::role.eq(owner));
    let query = account_domains::table.inner_join(accounts::table.on(accounts::id.eq(account_domains::account_id)));
    let query = query.filter(account_domains::account_id.eq_any(owned.select(members::account_id)));
    let query = query.filter(account_domains::state.eq(State::Lapsed.number())).order(account_domains::domain);
    let names = query.select((account_domains::domain, accounts::name)).limit(limit);
    Ok(names.load(&mut &*connection).await?)
}

/// Stores the next version of a locked domain.
///
/// # Errors
/// `ALREADY_EXISTS` if another account has verified the domain meanwhile.
pub async fn update(connection: &Connection, domain: &AccountDomain) -> Result<()> {
    let target = account_domains::table.filter(account_domains::id.eq(domain.id));
    let target = target.filter(account_domains::version.eq(domain.version - 1));
    let update = diesel::update(target).set(Row::from(domain)).exactly(1, "update account_domains");
    match update.execute(&mut &*connection).await {
        Err(error) if violated_unique(&error) == Some("account_domains_verified_key") => Err(taken().caused_by(error)),
        updated => updated.map(drop).map_err(Error::from),
    }
}

/// Returns the error for a domain that another account has verified.
pub fn taken() -> Error {
    let message = "Another account has verified the domain, and its TXT record is present. Remove that record first.";
    Error::with_message(Reason::AlreadyExists, message)
}

/// Removes a locked domain.
pub async fn delete(connection: &Connection, id: AccountDomainId) -> Result<()> {
    let delete = diesel::delete(account_domains::table.find(id)).exactly(1, "delete account_domains");
    delete.execute(&mut &*connection).await?;
    Ok(())
}

/// Returns a page of domains, newest first.
pub async fn list(
    connection: &Connection,
    visibility: Visibility,
    account: Option<AccountId>,
    page: Page,
) -> Result<Listed<AccountDomain>> {
    listed!(connection, matching(visibility, account), account_domains::created_at, page, Row => AccountDomain)
}

/// Excludes a person who was removed from an account, and the person's mailbox: the address without a tag (RFC 5233).
pub async fn exclude(connection: &Connection, account: AccountId, user: UserId) -> Result<()> {
    const SQL: &str = "INSERT INTO domain_exclusions (account_id, user_id, address_hash) \
                       SELECT $1, id, sha256(convert_to($1::text || regexp_replace(email, '^([^+@]+)[+][^@]*@', '\\1@'), 'UTF8')) \
                       FROM users WHERE id = $2 \
                       ON CONFLICT (account_id, user_id) DO UPDATE SET address_hash = excluded.address_hash";
    let insert = diesel::sql_query(SQL).bind::<SqlUuid, _>(account.0).bind::<SqlUuid, _>(user.0);
    insert.execute(&mut &*connection).await?;
    Ok(())
}

/// Ends the exclusion of a person, who was invited again.
pub async fn readmit(connection: &Connection, account: AccountId, user: UserId) -> Result<()> {
    let own = domain_exclusions::table.filter(domain_exclusions::account_id.eq(account));
    diesel::delete(own.filter(domain_exclusions::user_id.eq(user))).execute(&mut &*connection).await?;
    Ok(())
}

/// Returns whether a person, or another user with the mailbox of the address, was removed from an account.
pub async fn is_excluded(
    connection: &Connection,
    account: AccountId,
    user: Option<UserId>,
    email: &EmailAddress,
) -> Result<bool> {
    const SQL: &str = "SELECT EXISTS (SELECT FROM domain_exclusions WHERE account_id = $1 AND (user_id = $2 \
                       OR address_hash = sha256(convert_to($1::text || $3, 'UTF8')))) AS flag";
    let query = diesel::sql_query(SQL).bind::<SqlUuid, _>(account.0);
    let query = query.bind::<diesel::sql_types::Nullable<SqlUuid>, _>(user.map(|user| user.0));
    let mailbox = email.without_tag().unwrap_or_else(|| email.as_str().to_owned());
    Ok(query.bind::<Text, _>(mailbox).columns::<diesel::sql_types::Bool>().get_result(&mut &*connection).await?)
}
