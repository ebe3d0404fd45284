//! Users in SQL.

mod contact;
mod import;
mod standing;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    files::avatar::model::Avatar,
    identity::{
        provider::model::Person,
        revocation::{model::Epoch, store as revocation},
        role::id::RoleId,
        user::model::{Deactivation, EmailAddress, Filter, Language, Role, State, User},
    },
    schema::{
        accounts, data_exports, deletion_notices, deletions, invitations, linked_identities, members, roles,
        service_keys, users,
    },
};
use mainstay_kernel::{
    caller::Visibility,
    database::{Connection, convert, integrity::corrupt, seek::listed, statement::Prepare as _},
    error::{Error, Reason, Result},
    id::{AccountId, SessionId, UserId},
    page::{Listed, Page},
};

pub use contact::{contact, contact_or_owner};
pub use import::{hash_kinds, insert_missing};
pub use standing::{Standing, Wanted, begin_epoch, epoch, owner, standing};

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = users)]
struct Row {
    id: UserId,
    email: String,
    name: String,
    role: i16,
    staff_role_id: Option<RoleId>,
    language: String,
    session_epoch: i32,
    kept_session_id: Option<SessionId>,
    avatar_id: Option<Uuid>,
    deactivated_at: Option<DateTime<Utc>>,
    deactivation_reason: Option<String>,
    second_factor_at: Option<DateTime<Utc>>,
    deletion_at: Option<DateTime<Utc>>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl TryFrom<Row> for User {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let id = row.id;
        let role = Role::from_number(row.role.into());
        let deactivation = row.deactivated_at.zip(row.deactivation_reason);
        Ok(Self {
            id,
            email: EmailAddress::find(&row.email).map_err(|_| corrupt("users", id, "email"))?,
            name: row.name,
            role: role.ok_or_else(|| corrupt("users", id, "role"))?,
            staff_role: row.staff_role_id,
            language: Language::parse(&row.language).map_err(|_| corrupt("users", id, "language"))?,
            epoch: Epoch { number: row.session_epoch, kept: row.kept_session_id },
            avatar: row.avatar_id.map(Avatar),
            deactivation: deactivation.map(|(at, reason)| Deactivation { at, reason }),
            second_factor_at: row.second_factor_at,
            deletion_at: row.deletion_at,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

type Boxed<'q> = users::BoxedQuery<'q, diesel::pg::Pg>;

/// Returns the members of an account.
fn members_of<'q>(
    account: AccountId,
) -> diesel::dsl::Select<members::BoxedQuery<'q, diesel::pg::Pg>, members::user_id> {
    members::table.filter(members::account_id.eq(account)).into_boxed().select(members::user_id)
}

/// Selects the users that a caller reaches.
fn visible<'q>(visibility: Visibility) -> Boxed<'q> {
    let query = users::table.into_boxed();
    match visibility {
        Visibility::All => query,
        Visibility::Account(account) => query.filter(users::id.eq_any(members_of(account))),
        Visibility::Principal(id) => query.filter(users::id.eq(UserId(id))),
    }
}

fn matching<'q>(visibility: Visibility, filter: &Filter) -> Boxed<'q> {
    let mut query = visible(visibility);
    if let Some(account) = filter.account {
        query = query.filter(users::id.eq_any(members_of(account)));
    }
    if !filter.roles.is_empty() {
        query = query.filter(users::role.eq_any(filter.roles.clone()));
    }
    if let Some(email) = &filter.email {
        query = query.filter(users::email.eq(email.as_str().to_owned()));
    }
    match filter.state {
        None => query,
        Some(State::Active) => query.filter(users::deactivated_at.is_null()),
        Some(State::Deactivated) => query.filter(users::deactivated_at.is_not_null()),
    }
}

/// The columns of a new user. The others have their defaults.
#[derive(Insertable)]
#[diesel(table_name = users, treat_none_as_default_value = false)]
struct NewRow<'u> {
    id: UserId,
    email: &'u str,
    name: &'u str,
    role: i16,
    language: &'u str,
    password_hash: &'u str,
    has_password: bool,
    session_epoch: i32,
    email_confirmed_at: Option<DateTime<Utc>>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl<'u> NewRow<'u> {
    fn new(user: &'u User, password_hash: &'u str, email_confirmed_at: Option<DateTime<Utc>>) -> Self {
        Self {
            id: user.id,
            email: user.email.as_str(),
            name: &user.name,
            role: user.role.number(),
            language: user.language.as_str(),
            password_hash,
            has_password: true,
            session_epoch: user.epoch.number,
            email_confirmed_at,
            version: user.version,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

/// Stores a new user, whose address is not confirmed.
///
/// # Errors
/// `ALREADY_EXISTS` when the address is taken.
pub async fn insert(connection: &Connection, user: &User, password_hash: &str) -> Result<()> {
    insert_row(connection, NewRow::new(user, password_hash, None)).await
}

/// Stores a new user, whose address a token or a provider has confirmed.
///
/// # Errors
/// `ALREADY_EXISTS` when the address is taken.
pub async fn insert_confirmed(connection: &Connection, user: &User, password_hash: &str) -> Result<()> {
    insert_row(connection, NewRow::new(user, password_hash, Some(user.created_at))).await
}

async fn insert_row(connection: &Connection, row: NewRow<'_>) -> Result<()> {
    diesel::insert_into(users::table).values(row).execute(&mut &*connection).await.map_err(taken)?;
    Ok(())
}

/// Reports an address that another user has.
fn taken(error: diesel::result::Error) -> Error {
    if mainstay_kernel::database::violated_unique(&error) == Some("users_email_key") {
        return Error::with_message(Reason::AlreadyExists, "A user with this e-mail address exists.");
    }
    error.into()
}

/// Returns one user that is visible to the caller.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, visibility: Visibility, id: UserId) -> Result<User> {
    let query = visible(visibility).filter(users::id.eq(id)).select(Row::as_select());
    convert::found::<Row, _>(query.first(&mut &*connection).await, "user")
}

/// Returns the users with these ids that are visible to the caller, in no particular order.
pub async fn get_batch(mut connection: &Connection, visibility: Visibility, ids: &[UserId]) -> Result<Vec<User>> {
    let query = visible(visibility).filter(users::id.eq_any(ids.to_vec())).select(Row::as_select());
    convert::all::<Row, _>(query.load(&mut connection).await)
}

/// Returns the user with an e-mail address, and the password hash.
pub async fn by_email(connection: &mut Connection, email: &EmailAddress) -> Result<Option<(User, String)>> {
    let query = users::table.filter(users::email.eq(email.as_str()));
    let row: Option<(Row, String)> =
        query.select((Row::as_select(), users::password_hash)).first(connection).await.optional()?;
    row.map(|(row, hash)| Ok((row.try_into()?, hash))).transpose()
}

/// Returns the user to whom a person at a provider is linked.
pub async fn by_identity(connection: &Connection, person: &Person) -> Result<Option<User>> {
    let linked = linked_identities::table.filter(linked_identities::issuer.eq(&person.issuer));
    let linked = linked.filter(linked_identities::subject.eq(&person.subject));
    let linked = linked.filter(linked_identities::provider_id.is_not_distinct_from(person.provider));
    let linked = linked.select(linked_identities::user_id);
    let query = users::table.filter(users::id.eq_any(linked)).select(Row::as_select());
    convert::optional::<Row, _>(query.first(&mut &*connection).await)
}

/// Returns a user and the password hash; `None` when there is no such user.
pub async fn with_hash(connection: &mut Connection, id: UserId) -> Result<Option<(User, String)>> {
    let query = users::table.find(id).select((Row::as_select(), users::password_hash));
    let row: Option<(Row, String)> = query.first(connection).await.optional()?;
    row.map(|(row, hash)| Ok((row.try_into()?, hash))).transpose()
}

/// Returns one user that is visible to the caller, locked against changes until the transaction ends.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn lock(connection: &Connection, visibility: Visibility, id: UserId) -> Result<User> {
    // A boxed query has no lock clause, so visibility is checked on the row. The error is the same.
    let query = users::table.find(id).select(Row::as_select()).for_no_key_update();
    let row: Option<Row> = query.first(&mut &*connection).await.optional()?;
    // No caller changes users by their accounts: those are changed as members.
    let is_reached = |row: &Row| match visibility {
        Visibility::All => true,
        Visibility::Principal(principal) => row.id.0 == principal,
        Visibility::Account(_) => false,
    };
    row.filter(is_reached).ok_or_else(|| Error::not_found("user"))?.try_into()
}

/// Returns a user and the number of active admins without a scheduled deletion, and locks that user and all admins against changes until the
/// transaction ends. One statement takes the locks in id order, so concurrent changes of roles and states can't deadlock,
/// and the later change sees the result of the earlier one.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn lock_with_admins(connection: &mut Connection, id: UserId) -> Result<(User, usize)> {
    let admin = Role::Admin.number();
    let query = users::table.filter(users::role.eq(admin).or(users::id.eq(id)));
    let rows: Vec<Row> = query.order(users::id).select(Row::as_select()).for_no_key_update().load(connection).await?;
    let is_staying = |row: &&Row| row.deactivated_at.is_none() && row.deletion_at.is_none();
    let admins = rows.iter().filter(|row| row.role == admin).filter(is_staying);
    let admins = admins.count();
    let row = rows.into_iter().find(|row| row.id == id).ok_or_else(|| Error::not_found("user"))?;
    Ok((row.try_into()?, admins))
}

/// Stores the next version of a locked user.
pub async fn update(connection: &Connection, user: &User) -> Result<()> {
    let target = users::table.filter(users::id.eq(user.id)).filter(users::version.eq(user.version - 1));
    let values = (
        users::name.eq(&user.name),
        users::role.eq(user.role.number()),
        users::staff_role_id.eq(user.staff_role),
        users::language.eq(user.language.as_str()),
        users::session_epoch.eq(user.epoch.number),
        users::kept_session_id.eq(user.epoch.kept),
        users::avatar_id.eq(user.avatar.map(|avatar| avatar.0)),
        users::deactivated_at.eq(user.deactivation.as_ref().map(|deactivation| deactivation.at)),
        users::deactivation_reason.eq(user.deactivation.as_ref().map(|deactivation| &deactivation.reason)),
        users::second_factor_at.eq(user.second_factor_at),
        users::deletion_at.eq(user.deletion_at),
        users::version.eq(user.version),
        users::updated_at.eq(user.updated_at),
    );
    diesel::update(target).set(values).exactly(1, "update users").execute(&mut &*connection).await?;
    Ok(())
}

/// Stores the address and the epoch of the next version of a locked user and, if given, another password hash.
///
/// # Errors
/// `ALREADY_EXISTS` when another user has the address.
pub async fn set_email(connection: &mut Connection, user: &User, password_hash: Option<&str>) -> Result<()> {
    let target = users::table.filter(users::id.eq(user.id)).filter(users::version.eq(user.version - 1));
    let values = (
        users::email.eq(user.email.as_str()),
        // A token from a mail to the address changes it.
        users::email_confirmed_at.eq(user.updated_at),
        users::session_epoch.eq(user.epoch.number),
        users::kept_session_id.eq(user.epoch.kept),
        // The given hash is one that no password matches.
        password_hash.map(|hash| (users::password_hash.eq(hash), users::has_password.eq(false))),
        users::version.eq(user.version),
        users::updated_at.eq(user.updated_at),
    );
    let updated = diesel::update(target).set(values).execute(connection).await.map_err(taken)?;
    if updated == 1 { Ok(()) } else { Err(Error::internal(anyhow::anyhow!("users {}: {updated} rows", user.id))) }
}

/// Sets the password of an active user by a token from a mail, and ends every session. Returns the user's address; `None` when there is no such
/// user.
pub async fn set_password(
    connection: &mut Connection,
    id: UserId,
    hash: &str,
    now: DateTime<Utc>,
) -> Result<Option<EmailAddress>> {
    let active = users::table.filter(users::id.eq(id)).filter(users::deactivated_at.is_null());
    let epoch = (users::session_epoch.eq(users::session_epoch + 1), users::kept_session_id.eq(None::<SessionId>));
    let password = (users::password_hash.eq(hash), users::has_password.eq(true));
    let update = diesel::update(active).set((password, users::email_confirmed_at.eq(now), epoch));
    let update = update.returning((users::email, users::session_epoch));
    let row: Option<(String, i32)> = update.prepared().get_result(connection).await.optional()?;
    let Some((email, number)) = row else { return Ok(None) };
    revocation::begin_epoch(connection, id, Epoch { number, kept: None }).await?;
    EmailAddress::find(&email).map(Some).map_err(|_| corrupt("users", id, "email"))
}

/// Changes the password of a user, and ends every session but `kept`. Returns `false` if the password was changed, or the
/// user's sessions were ended, since the user was read: the session that is to be kept may have ended with them.
pub async fn change_password(
    connection: &mut Connection,
    user: &User,
    [old, new]: [&str; 2],
    kept: SessionId,
) -> Result<bool> {
    let epoch = user.epoch.next(Some(kept));
    let target = users::table.filter(users::id.eq(user.id)).filter(users::password_hash.eq(old));
    let target = target.filter(users::session_epoch.eq(user.epoch.number)).filter(users::deactivated_at.is_null());
    let values =
        (users::password_hash.eq(new), users::session_epoch.eq(epoch.number), users::kept_session_id.eq(epoch.kept));
    if diesel::update(target).set(values).prepared().execute(connection).await? != 1 {
        return Ok(false);
    }
    revocation::begin_epoch(connection, user.id, epoch).await?;
    Ok(true)
}

/// Records that a new user has no password.
pub async fn forget_password(connection: &Connection, id: UserId) -> Result<()> {
    let update = diesel::update(users::table.find(id)).set(users::has_password.eq(false));
    update.exactly(1, "forget a password").execute(&mut &*connection).await?;
    Ok(())
}

/// Returns whether a user has set a password.
pub async fn has_password(connection: &Connection, id: UserId) -> Result<bool> {
    Ok(users::table.find(id).select(users::has_password).first(&mut &*connection).await?)
}

/// Returns whether, since a time, mail to the address has reached the user, or a provider has verified it.
pub async fn has_confirmed_email_since(connection: &Connection, id: UserId, since: DateTime<Utc>) -> Result<bool> {
    let confirmed_at: Option<DateTime<Utc>> =
        users::table.find(id).select(users::email_confirmed_at).first(&mut &*connection).await?;
    Ok(confirmed_at.is_some_and(|at| at >= since))
}

/// Replaces a hash with a stronger hash of the same password, unless the password was changed meanwhile.
pub async fn strengthen(connection: &mut Connection, id: UserId, weak: &str, strong: &str) -> Result<bool> {
    let target = users::table.filter(users::id.eq(id)).filter(users::password_hash.eq(weak));
    let update = diesel::update(target).set(users::password_hash.eq(strong));
    Ok(update.prepared().execute(connection).await? == 1)
}

/// Returns a page of users, newest first.
pub async fn list(
    connection: &Connection,
    visibility: Visibility,
    filter: &Filter,
    page: Page,
) -> Result<Listed<User>> {
    listed!(connection, matching(visibility, filter), users::created_at, page, Row => User)
}

/// Returns whether any user exists.
pub async fn any(connection: &mut Connection) -> Result<bool> {
    Ok(users::table.select(users::id).first::<UserId>(connection).await.optional()?.is_some())
}

/// Returns the users whose addresses are in a domain, oldest first.
pub async fn of_domain(connection: &mut Connection, domain: &str) -> Result<Vec<User>> {
    let query = users::table.filter(users::email.like(format!("%@{domain}"))).order((users::created_at, users::id));
    convert::all::<Row, _>(query.select(Row::as_select()).load(connection).await)
}

/// Erases accounts with their memberships, invitations and roles, and these users with the service keys that they created.
pub async fn erase(connection: &mut Connection, accounts: &[AccountId], users: &[UserId]) -> Result<()> {
    let keys = service_keys::table.filter(service_keys::created_by.eq_any(users.to_vec()));
    diesel::delete(keys).execute(connection).await?;
    let exports = data_exports::account_id.eq_any(accounts.to_vec()).or(data_exports::user_id.eq_any(users.to_vec()));
    diesel::delete(data_exports::table.filter(exports)).execute(connection).await?;
    let notices = deletion_notices::table.filter(deletion_notices::user_id.eq_any(users.to_vec()));
    diesel::delete(notices).execute(connection).await?;
    let deletions = deletions::account_id.eq_any(accounts.to_vec()).or(deletions::user_id.eq_any(users.to_vec()));
    diesel::delete(deletions::table.filter(deletions)).execute(connection).await?;
    let of_either = members::account_id.eq_any(accounts.to_vec()).or(members::user_id.eq_any(users.to_vec()));
    diesel::delete(members::table.filter(of_either)).execute(connection).await?;
    let invited = invitations::table.filter(invitations::account_id.eq_any(accounts.to_vec()));
    diesel::delete(invited).execute(connection).await?;
    diesel::delete(roles::table.filter(roles::account_id.eq_any(accounts.to_vec()))).execute(connection).await?;
    diesel::delete(users::table.filter(users::id.eq_any(users.to_vec()))).execute(connection).await?;
    diesel::delete(accounts::table.filter(accounts::id.eq_any(accounts.to_vec()))).execute(connection).await?;
    Ok(())
}
