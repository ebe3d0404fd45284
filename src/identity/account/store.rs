//! Accounts in SQL.

use chrono::{DateTime, Utc};
use diesel::{dsl::sql, prelude::*, sql_types::Bool};
use diesel_async::RunQueryDsl;

use crate::{
    identity::{account::model::Account, role::limits::SessionLimits},
    schema::{accounts, members},
};
use mainstay_kernel::{
    caller::Visibility,
    database::{Connection, convert, seek::listed, statement::Prepare as _},
    error::Result,
    id::{AccountId, UserId},
    page::{Listed, Page},
};

#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = accounts, treat_none_as_null = true)]
struct Row {
    id: AccountId,
    name: String,
    created_at: DateTime<Utc>,
    version: i64,
    updated_at: DateTime<Utc>,
    requires_second_factor: bool,
    deletion_at: Option<DateTime<Utc>>,
    session_idle_seconds: Option<i32>,
    session_max_age_seconds: Option<i32>,
}

impl From<&Account> for Row {
    fn from(account: &Account) -> Self {
        Self {
            id: account.id,
            name: account.name.clone(),
            created_at: account.created_at,
            version: account.version,
            updated_at: account.updated_at,
            requires_second_factor: account.requires_second_factor,
            deletion_at: account.deletion_at,
            session_idle_seconds: account.limits.idle_seconds,
            session_max_age_seconds: account.limits.max_age_seconds,
        }
    }
}

impl From<Row> for Account {
    fn from(row: Row) -> Self {
        let limits =
            SessionLimits { idle_seconds: row.session_idle_seconds, max_age_seconds: row.session_max_age_seconds };
        let Row { id, name, created_at, version, updated_at, requires_second_factor, deletion_at, .. } = row;
        Self { id, name, requires_second_factor, limits, version, created_at, updated_at, deletion_at }
    }
}

type Boxed<'q> = accounts::BoxedQuery<'q, diesel::pg::Pg>;

/// Selects the accounts that a caller reaches: a user reaches those that the user is a member of.
fn visible<'q>(visibility: Visibility) -> Boxed<'q> {
    let query = accounts::table.into_boxed();
    match visibility {
        Visibility::All => query,
        Visibility::Account(account) => query.filter(accounts::id.eq(account)),
        Visibility::Principal(user) => {
            let own = members::table.filter(members::user_id.eq(UserId(user))).select(members::account_id);
            query.filter(accounts::id.eq_any(own))
        }
    }
}

fn matching<'q>(visibility: Visibility, name_prefix: Option<&str>) -> Boxed<'q> {
    let query = visible(visibility);
    let Some(prefix) = name_prefix else { return query };
    let escaped = prefix.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    let begins = sql::<Bool>("lower(accounts.name) LIKE lower(").bind::<diesel::sql_types::Text, _>(escaped + "%");
    query.filter(begins.sql(")"))
}

/// Stores a new account.
pub async fn insert(connection: &Connection, account: &Account) -> Result<()> {
    diesel::insert_into(accounts::table).values(Row::from(account)).execute(&mut &*connection).await?;
    Ok(())
}

/// Returns one account that is visible to the caller.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, visibility: Visibility, id: AccountId) -> Result<Account> {
    let query = visible(visibility).filter(accounts::id.eq(id)).select(Row::as_select());
    convert::found::<Row, _>(query.first(&mut &*connection).await, "account")
}

/// Returns one account, locked against changes until the transaction ends. The lock also protects the set of its members
/// and their roles, and is taken before those on members and users.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn lock(connection: &Connection, id: AccountId) -> Result<Account> {
    let query = accounts::table.find(id).select(Row::as_select()).for_no_key_update();
    convert::found::<Row, _>(query.first(&mut &*connection).await, "account")
}

/// Returns whether the data of an account is being erased, or was.
pub async fn any_erased(connection: &Connection, ids: &[AccountId], now: DateTime<Utc>) -> Result<bool> {
    let erased = accounts::table.filter(accounts::id.eq_any(ids)).filter(accounts::deletion_at.le(now));
    Ok(diesel::select(diesel::dsl::exists(erased)).get_result(&mut &*connection).await?)
}

/// Stores the next version of a locked account.
pub async fn update(connection: &Connection, account: &Account) -> Result<()> {
    let target = accounts::table.filter(accounts::id.eq(account.id)).filter(accounts::version.eq(account.version - 1));
    diesel::update(target).set(Row::from(account)).exactly(1, "update accounts").execute(&mut &*connection).await?;
    Ok(())
}

/// Returns a page of accounts, newest first.
pub async fn list(
    connection: &Connection,
    visibility: Visibility,
    name_prefix: Option<&str>,
    page: Page,
) -> Result<Listed<Account>> {
    listed!(connection, matching(visibility, name_prefix), accounts::created_at, page, Row => Account)
}
