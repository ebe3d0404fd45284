//! Roles in SQL.

use chrono::{DateTime, Utc};
use diesel::{
    dsl::{exists, sql},
    expression::SqlLiteral,
    prelude::*,
    sql_types::{BigInt, Integer, Nullable},
};
use diesel_async::RunQueryDsl;

use crate::{
    identity::role::{
        id::RoleId,
        limits::SessionLimits,
        model::{Owner, Role},
    },
    proto::identity::v1::Reason as IdentityReason,
    schema::{accounts, roles, users},
};
use mainstay_kernel::{
    caller::Visibility,
    database::{Connection, already_exists, convert, statement::Prepare as _, violated_foreign_key},
    error::{Error, Result},
    id::AccountId,
};

#[derive(Debug, Queryable, Insertable, AsChangeset)]
#[diesel(table_name = roles, treat_none_as_null = true)]
struct Row {
    id: RoleId,
    account_id: Option<AccountId>,
    name: String,
    description: String,
    scopes: Vec<String>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    session_idle_seconds: Option<i32>,
    session_max_age_seconds: Option<i32>,
}

impl From<Role> for Row {
    fn from(role: Role) -> Self {
        let Role { id, owner, name, description, scopes, limits, version, created_at, updated_at } = role;
        Self {
            id,
            account_id: owner,
            name,
            description,
            scopes,
            version,
            created_at,
            updated_at,
            session_idle_seconds: limits.idle_seconds,
            session_max_age_seconds: limits.max_age_seconds,
        }
    }
}

impl From<Row> for Role {
    fn from(row: Row) -> Self {
        let limits =
            SessionLimits { idle_seconds: row.session_idle_seconds, max_age_seconds: row.session_max_age_seconds };
        let Row { id, account_id, name, description, scopes, version, created_at, updated_at, .. } = row;
        Self { id, owner: account_id, name, description, scopes, limits, version, created_at, updated_at }
    }
}

/// Returns whether a caller reaches a role: staff reaches all, and a customer those of the account.
fn is_reached(visibility: Visibility, row: &Row) -> bool {
    match (visibility, row.account_id) {
        (Visibility::All, _) => true,
        (Visibility::Account(own), Some(account)) => own == account,
        (Visibility::Account(_) | Visibility::Principal(_), _) => false,
    }
}

/// Reports a name that is taken.
fn check_name<T>(written: QueryResult<T>) -> Result<T> {
    written.map_err(already_exists("roles_name_key", "Another role has this name."))
}

/// Selects the limits of sessions of a user in a membership, from a row of `users` joined with that of `members`, if any: the
/// shortest of the account, of its role, and of the role of the staff. The text is constant, but diesel prepares no statement with
/// raw SQL by itself: callers use [`Prepare::prepared`](mainstay_kernel::database::statement::Prepare::prepared).
pub(crate) fn session_limits() -> (SqlLiteral<Nullable<Integer>>, SqlLiteral<Nullable<Integer>>) {
    macro_rules! shortest {
        ($column:literal) => {
            sql(concat!(
                "least((SELECT accounts.",
                $column,
                " FROM accounts WHERE accounts.id = members.account_id), \
                 (SELECT min(roles.",
                $column,
                ") FROM roles \
                 WHERE roles.id IN (members.custom_role_id, users.staff_role_id)))"
            ))
        };
    }
    (shortest!("session_idle_seconds"), shortest!("session_max_age_seconds"))
}

/// Locks the owner of roles until the transaction ends, so that concurrent creations count each other's roles.
///
/// # Errors
/// `NOT_FOUND` if there is no such account; `DELETION_BEGUN` if its data is being erased, or was.
pub async fn lock_owner(connection: &Connection, owner: Owner, now: DateTime<Utc>) -> Result<()> {
    let Some(account) = owner else {
        // "roles" in ASCII. No row stands for the staff.
        const STAFF: i64 = 0x72_6f6c_6573;
        let lock = diesel::sql_query("SELECT pg_advisory_xact_lock($1)").bind::<BigInt, _>(STAFF);
        lock.execute(&mut &*connection).await?;
        return Ok(());
    };
    let query = accounts::table.find(account).select(accounts::deletion_at).for_no_key_update();
    let found: Option<Option<DateTime<Utc>>> = query.first(&mut &*connection).await.optional()?;
    let deletion_at = found.ok_or_else(|| Error::not_found("account"))?;
    if deletion_at.is_some_and(|at| at <= now) { Err(IdentityReason::DeletionBegun.into()) } else { Ok(()) }
}

/// Counts the custom roles of an owner.
pub async fn count(connection: &Connection, owner: Owner) -> Result<i64> {
    Ok(roles::table.filter(roles::account_id.is_not_distinct_from(owner)).count().get_result(&mut &*connection).await?)
}

/// Stores a new role.
///
/// # Errors
/// `ALREADY_EXISTS` if the name is taken.
pub async fn insert(connection: &Connection, role: Role) -> Result<()> {
    check_name(diesel::insert_into(roles::table).values(Row::from(role)).execute(&mut &*connection).await).map(drop)
}

/// Returns one role that is visible to the caller.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, visibility: Visibility, id: RoleId) -> Result<Role> {
    let row: Option<Row> = roles::table.find(id).first(&mut &*connection).await.optional()?;
    let row = row.filter(|row| is_reached(visibility, row));
    row.map(Role::from).ok_or_else(|| Error::not_found("role"))
}

/// Returns one role that is visible to the caller, locked against changes until the transaction ends.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn lock(connection: &Connection, visibility: Visibility, id: RoleId) -> Result<Role> {
    let row: Option<Row> = roles::table.find(id).for_update().first(&mut &*connection).await.optional()?;
    let row = row.filter(|row| is_reached(visibility, row));
    row.map(Role::from).ok_or_else(|| Error::not_found("role"))
}

/// Returns the custom roles of an owner, by name.
pub async fn list(mut connection: &Connection, owner: Owner) -> Result<Vec<Role>> {
    let query = roles::table.filter(roles::account_id.is_not_distinct_from(owner));
    convert::all::<Row, _>(query.order((roles::name, roles::id)).load(&mut connection).await)
}

/// Stores the next version of a locked role.
///
/// # Errors
/// `ALREADY_EXISTS` if the name is taken.
pub async fn update(connection: &Connection, role: Role) -> Result<()> {
    let target = roles::table.filter(roles::id.eq(role.id)).filter(roles::version.eq(role.version - 1));
    let update = diesel::update(target).set(Row::from(role)).exactly(1, "update roles");
    check_name(update.execute(&mut &*connection).await).map(drop)
}

/// Removes the role of the staff with a name, unless users have it. Returns whether it is kept.
pub async fn erase_of_staff(connection: &mut Connection, name: &str) -> Result<bool> {
    let role = roles::table.filter(roles::account_id.is_null()).filter(roles::name.eq(name)).select(roles::id);
    let Some(id) = role.first::<RoleId>(connection).await.optional()? else { return Ok(false) };
    let is_used = exists(users::table.filter(users::staff_role_id.eq(Some(id))).select(users::id));
    let is_used: bool = diesel::select(is_used).get_result(connection).await?;
    if !is_used {
        diesel::delete(roles::table.find(id)).execute(connection).await?;
    }
    Ok(is_used)
}

/// Deletes a locked role.
///
/// # Errors
/// `ROLE_IN_USE` while a foreign key refers to it: of the users, members and invitations that have the role.
pub async fn delete(connection: &Connection, id: RoleId) -> Result<()> {
    let deleted = diesel::delete(roles::table.find(id)).exactly(1, "delete roles").execute(&mut &*connection).await;
    match deleted {
        Err(error) if violated_foreign_key(&error).is_some() => Err(IdentityReason::RoleInUse.into()),
        deleted => Ok(deleted.map(drop)?),
    }
}
