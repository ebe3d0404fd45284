//! Users: read, renamed by themselves, assigned roles, deactivated and reactivated by admins, and imported.

mod import;

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use crate::files::avatar::{model::Avatar, ops as avatar};
use crate::identity::{
    linked_identity::store as identities,
    member::{model::Membership, ops as members},
    registration::ops::{Profile, create},
    revocation::store as revocation,
    role::ops as roles,
    service_key::store as service_keys,
    session::ops as session,
    user::{
        model::{self, EmailAddress, Filter, Patch, Role, StaffRole, User},
        store,
    },
};
use crate::proto::identity::v1::Reason as IdentityReason;
use mainstay_kernel::{
    app::App,
    audit::Record,
    batch,
    caller::{Permit, Visibility},
    contract::Policies,
    database::{Connection, pipeline::pipeline},
    error::{Error, Result},
    id::UserId,
    page::{Listed, Page},
    unit_of_work::Work,
    version::ExpectedVersions,
};

pub use import::{BATCH, Import, Imported, import, read_import};

// For other modules, which act without a caller.
pub(crate) use store::{by_email, contact, contact_or_owner, erase, get as read, of_domain};

/// Returns the calling user with the memberships.
///
/// # Errors
/// `NOT_FOUND` if the user was removed.
pub async fn me(connection: &Connection, permit: &Permit) -> Result<(User, Vec<Membership>)> {
    let (id, ..) = session::caller(permit)?;
    pipeline!(store::get(connection, permit.visibility(), id), members::of_user(connection, id))
}

/// Returns a user.
///
/// # Errors
/// `NOT_FOUND`, also for a user that is not visible to the caller.
pub async fn get(connection: &Connection, permit: &Permit, id: UserId) -> Result<User> {
    store::get(connection, permit.visibility(), id).await
}

/// Returns the users with these ids, in their order.
///
/// # Errors
/// `NOT_FOUND` if any of them is not found.
pub async fn get_batch(connection: &Connection, permit: Permit, ids: Vec<UserId>) -> Result<Vec<User>> {
    let users = store::get_batch(connection, permit.visibility(), &ids).await?;
    batch::in_order("user", &ids, users, |user| user.id)
}

/// Returns a page of users plus one more if another page follows, and the total unless paging by key.
pub async fn list(connection: &Connection, permit: Permit, filter: Filter, page: Page) -> Result<Listed<User>> {
    store::list(connection, permit.visibility(), &filter, page).await
}

/// Locks a user until the transaction ends.
async fn lock(work: &mut Work, id: UserId, expected: Option<ExpectedVersions>) -> Result<User> {
    let visibility = work.permit()?.visibility();
    let user = work.read(async |connection: &Connection| store::lock(connection, visibility, id).await).await?;
    work.before(&user);
    ExpectedVersions::check(expected.as_ref(), user.version)?;
    Ok(user)
}

/// Updates a user. A patch that changes nothing keeps the version.
///
/// # Errors
/// `PERMISSION_DENIED` for another user of the staff as for [`deactivate`]; `NOT_FOUND`, `ETAG_MISMATCH`, `DELETION_BEGUN`.
pub async fn update(
    work: &mut Work,
    policies: &Policies,
    id: UserId,
    expected: Option<ExpectedVersions>,
    patch: Patch,
) -> Result<User> {
    let user = lock(work, id, expected).await?;
    check_power(work, policies, &user).await?;
    check_open(&user, work.now())?;
    let patched = user.clone().apply(patch, work.now());
    if patched != user {
        let next = patched.clone();
        work.queue(move |connection| Box::pin(async move { store::update(connection, &next).await }));
    }
    Ok(patched)
}

/// Replaces or removes a user's avatar. Removing an absent avatar changes nothing.
///
/// # Errors
/// As [`update`]; `UNAVAILABLE` if the new avatar was discarded meanwhile.
pub async fn set_avatar(
    work: &mut Work,
    policies: &Policies,
    id: UserId,
    expected: Option<ExpectedVersions>,
    new: Option<Avatar>,
) -> Result<User> {
    let (user, now) = (lock(work, id, expected).await?, work.now());
    check_power(work, policies, &user).await?;
    if new.is_some() {
        check_open(&user, now)?;
    }
    // The entry is about the picture alone: a response without the user would read as the deletion of the user.
    if user.avatar == new {
        work.audit(Record::unchanged(&user));
        return Ok(user);
    }
    let before = user.clone();
    let connection = work.connection().await?;
    avatar::replace(connection, user.avatar, new, now).await?;
    let user = user.with_avatar(new, now);
    store::update(connection, &user).await?;
    work.audit(Record::updated(&before, &user));
    Ok(user)
}

/// Changes a user's role and ends the user's sessions. A customer who joins the staff loses the linked identities. Setting the current role changes nothing. The caller must hold the
/// scopes of the roles of the staff that the user loses and gets.
///
/// # Errors
/// `VALIDATION_FAILED`, `PERMISSION_DENIED`, `NOT_FOUND`, `ETAG_MISMATCH`, `LAST_ADMIN`.
pub async fn set_role(
    work: &mut Work,
    policies: &Policies,
    id: UserId,
    expected: Option<ExpectedVersions>,
    new: StaffRole,
) -> Result<User> {
    let StaffRole { role, custom } = new;
    if custom.is_some() && role != Role::Agent {
        return Err(Error::field("staffRoleId", "must be absent unless the role is that of an agent"));
    }
    let (permit, now) = (work.permit()?, work.now());
    let connection = work.connection().await?;
    let (user, admins) = store::lock_with_admins(connection, id).await?;
    ExpectedVersions::check(expected.as_ref(), user.version)?;
    if (user.role, user.staff_role) == (role, custom) {
        return Ok(user);
    }
    let permit = roles::present(connection, policies, permit, roles::STAFF_ROLES).await?;
    let next = user.clone().in_role(role, custom, now);
    for user in [&user, &next].into_iter().filter(|user| user.role != Role::Customer) {
        let assigned = roles::of_staff(user);
        roles::check_assignment(connection, &permit, policies, None, assigned).await?;
    }
    if user.role != role {
        keep_an_admin(&user, admins)?;
    }
    begin_epoch_of(connection, &next).await?;
    unlink_from_staff(connection, &user, &next).await?;
    work.before(&user);
    Ok(next)
}

/// Makes the user with an address an active admin, and ends the user's sessions: the operator's way back when no admin can
/// sign in.
///
/// # Errors
/// `NOT_FOUND`, `VALIDATION_FAILED`; `DELETION_SCHEDULED` for a user who would not stay; `UNAVAILABLE` if Postgres is
/// unreachable.
pub async fn make_admin(app: &App, email: &str) -> Result<UserId> {
    let email = EmailAddress::find(email)?;
    let change = app.database.transaction(async move |work: &mut Work| {
        let now = work.now();
        let connection = work.connection().await?;
        let found = store::by_email(connection, &email).await?.ok_or_else(|| Error::not_found("user"))?;
        let (user, _) = store::lock_with_admins(connection, found.0.id).await?;
        if user.deletion_at.is_some() {
            return Err(IdentityReason::DeletionScheduled.into());
        }
        let before = user.clone();
        let user = User { deactivation: None, ..user.in_role(Role::Admin, None, now) };
        begin_epoch_of(connection, &user).await?;
        unlink_from_staff(connection, &before, &user).await?;
        work.audit(Record::updated(&before, &user));
        tracing::warn!(user = %user.id, "an operator made a user an admin");
        Ok(user.id)
    });
    change.await
}

/// Removes the identities of a customer who joins the staff: a provider may have linked itself by the address, and would now
/// decide who one of the staff is.
async fn unlink_from_staff(connection: &Connection, before: &User, after: &User) -> Result<()> {
    if before.role == Role::Customer && after.role != Role::Customer {
        let removed = identities::delete_of_user(connection, after.id).await?;
        tracing::info!(user = %after.id, removed, "the identities of a user who joined the staff were removed");
    }
    Ok(())
}

/// Deactivates a user, and ends the user's sessions. Changes nothing if the user is deactivated already.
///
/// # Errors
/// `PERMISSION_DENIED` if the user has a role of the staff with a scope that the caller lacks; `NOT_FOUND`, `ETAG_MISMATCH`, `LAST_ADMIN`.
pub async fn deactivate(
    work: &mut Work,
    policies: &Policies,
    id: UserId,
    expected: Option<ExpectedVersions>,
    reason: String,
) -> Result<User> {
    let (permit, now) = (work.permit()?, work.now());
    let admin = permit.caller().principal();
    let connection = work.connection().await?;
    let (user, admins) = store::lock_with_admins(connection, id).await?;
    ExpectedVersions::check(expected.as_ref(), user.version)?;
    roles::check_power(connection, policies, permit, &user).await?;
    if !user.is_active() {
        return Ok(user);
    }
    keep_an_admin(&user, admins)?;
    let before = user.clone();
    let user = user.deactivate(reason, now);
    begin_epoch_of(connection, &user).await?;
    service_keys::revoke_of_user(connection, id, now).await?;
    work.before(&before);
    tracing::info!(user = %id, %admin, "a user was deactivated");
    Ok(user)
}

/// Reactivates a user. Changes nothing if the user is active.
///
/// # Errors
/// `PERMISSION_DENIED` as for [`deactivate`]; `NOT_FOUND`, `ETAG_MISMATCH`; `DELETION_BEGUN` if the user was deleted.
pub async fn reactivate(
    work: &mut Work,
    policies: &Policies,
    id: UserId,
    expected: Option<ExpectedVersions>,
) -> Result<User> {
    let (user, permit) = (lock(work, id, expected).await?, work.permit()?);
    let admin = permit.caller().principal();
    roles::check_power(work.connection().await?, policies, permit, &user).await?;
    if user.is_active() {
        return Ok(user);
    }
    check_open(&user, work.now())?;
    let user = user.reactivate(work.now());
    store::update(work.connection().await?, &user).await?;
    tracing::info!(user = %id, %admin, "a user was reactivated");
    Ok(user)
}

/// Checks that the caller may change a user: the own one, or another one as [`roles::check_power`] decides.
async fn check_power(work: &mut Work, policies: &Policies, user: &User) -> Result<()> {
    let permit = work.permit()?;
    if permit.caller().principal() == user.id.0 {
        return Ok(());
    }
    roles::check_power(work.connection().await?, policies, permit, user).await
}

/// Checks that the erasure of a user has not begun.
fn check_open(user: &User, now: DateTime<Utc>) -> Result<()> {
    let is_erased = user.deletion_at.is_some_and(|at| at <= now);
    if is_erased { Err(IdentityReason::DeletionBegun.into()) } else { Ok(()) }
}

/// Rejects a change that would take the last active admin.
pub(crate) fn keep_an_admin(user: &User, active_admins: usize) -> Result<()> {
    let is_last = user.role == Role::Admin && user.is_staying() && active_admins == 1;
    if is_last { Err(IdentityReason::LastAdmin.into()) } else { Ok(()) }
}

/// Stores the next version of a user, and ends the sessions that its epoch does not admit.
pub(crate) async fn begin_epoch_of(connection: &mut Connection, user: &User) -> Result<()> {
    store::update(connection, user).await?;
    revocation::begin_epoch(connection, user.id, user.epoch).await
}

/// Creates an admin; used to set up the first one.
///
/// # Errors
/// `ALREADY_EXISTS`, `VALIDATION_FAILED`; `UNAVAILABLE` if Postgres is unreachable.
pub async fn create_admin(app: &App, email: &str, name: &str, password: SecretString) -> Result<UserId> {
    let email = EmailAddress::parse(email)?;
    let profile = Profile::new(email, model::name(name)?, Role::Admin);
    Ok(create(app, profile, password).await?.id)
}

/// Removes the avatar of a user who is erased; returns 1 if there was one, or else 0.
pub(crate) async fn erase_avatar(connection: &mut Connection, id: uuid::Uuid, now: DateTime<Utc>) -> Result<usize> {
    let user = store::lock(connection, Visibility::All, UserId(id)).await?;
    if user.avatar.is_none() {
        return Ok(0);
    }
    avatar::replace(connection, user.avatar, None, now).await?;
    store::update(connection, &user.with_avatar(None, now)).await?;
    Ok(1)
}
