//! Roles: the built-in ones of the contract, and custom ones. A caller gives a role only scopes that the caller holds.

use std::sync::Arc;

use crate::{
    identity::{
        invitation::store as invitations,
        member::store as members,
        revocation::{model::SubjectVersion, store as revocation},
        role::{
            id::RoleId,
            model::{Assigned, Draft, Granted, MAX_ROLES, Owner, Patch, Role},
            store,
        },
        user::{
            model::{self as user, User},
            store as users,
        },
    },
    proto::identity::v1::Reason as IdentityReason,
};
use mainstay_kernel::{
    app::App,
    caller::{Caller, Permit, Visibility},
    contract::{
        Policies,
        policy::{self, BuiltInRole, Scope},
    },
    database::Connection,
    error::{Error, Reason, Result},
    id::AccountId,
    unit_of_work::Work,
    version::ExpectedVersions,
};

pub(crate) use store::erase_of_staff;

/// The scope for changes of the roles of an account.
const ROLES: &str = "identity.roles.manage";
/// The scope for changes of users other than the caller.
const USERS: &str = "identity.users.manage";
/// The scope for changes of the roles of the staff.
pub(crate) const STAFF_ROLES: &str = "identity.staff_roles.manage";

/// Returns the owner of the roles that a request is about: the account it names, else the caller's; for staff that names
/// no account, the staff.
///
/// # Errors
/// `NOT_FOUND` if a customer names another account.
pub fn owner(permit: &Permit, named: Option<AccountId>) -> Result<Owner> {
    match (permit.visibility(), named) {
        (Visibility::All, named) => Ok(named),
        (_, named) => permit.account(named).map(Some),
    }
}

/// Returns the permit with the scopes that the caller has in Postgres at present, and checks one of them. Instances accept an
/// access token for a moment after the caller has lost its role, and a request may wait for a lock meanwhile. A caller whose
/// role ends concurrently acts before that, or not at all.
///
/// # Errors
/// `SESSION_REVOKED` if the caller has left the account, or was deactivated; `PERMISSION_DENIED` without the scope.
pub(crate) async fn present(
    connection: &Connection,
    policies: &Policies,
    permit: Permit,
    needed: &str,
) -> Result<Permit> {
    let role = match *permit.caller() {
        Caller::Service { .. } => None,
        Caller::User { id, role: policy::Role::Customer, account: Some(account), .. } => {
            let member = members::find_active(connection, account, id).await?.ok_or(Reason::SessionRevoked)?;
            Some(member.role.assigned())
        }
        Caller::User { id, .. } => {
            let user = users::get(connection, Visibility::All, id).await?;
            if !user.is_active() || user.role == user::Role::Customer {
                return Err(Reason::SessionRevoked.into());
            }
            Some(of_staff(&user))
        }
    };
    let permit = match role {
        Some(role) => permit.with_scopes(scopes(connection, policies, role).await?),
        None => permit,
    };
    permit.check_scope(needed)?;
    Ok(permit)
}

/// Returns the scope for changes of the roles of an owner.
fn scope_of(owner: Owner) -> &'static str {
    if owner.is_some() { ROLES } else { STAFF_ROLES }
}

/// Creates a custom role.
///
/// # Errors
/// `VALIDATION_FAILED`, `PERMISSION_DENIED`, `NOT_FOUND`, `ALREADY_EXISTS`, `ROLE_LIMIT_REACHED`, `DELETION_BEGUN`.
pub async fn create(work: &mut Work, policies: &Policies, named: Option<AccountId>, draft: Draft) -> Result<Role> {
    let (permit, now) = (work.permit()?, work.now());
    let owner = owner(&permit, named)?;
    let role = Role::new(policies, owner, draft, now)?;
    let new = role.clone();
    let insert = async move |connection: &Connection| {
        store::lock_owner(connection, owner, now).await?;
        let permit = present(connection, policies, permit, scope_of(owner)).await?;
        permit.check_scopes(new.declared(policies))?;
        if store::count(connection, owner).await? >= MAX_ROLES {
            return Err(IdentityReason::RoleLimitReached.into());
        }
        store::insert(connection, new).await
    };
    work.write(insert).await?;
    Ok(role)
}

/// Returns a custom role.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, permit: &Permit, id: RoleId) -> Result<Role> {
    store::get(connection, permit.visibility(), id).await
}

/// Returns the custom roles of an owner.
pub async fn list(connection: &Connection, _: Permit, owner: Owner) -> Result<Vec<Role>> {
    store::list(connection, owner).await
}

/// Locks a role that the caller may change, and whose scopes the caller holds.
async fn lock(
    work: &mut Work,
    policies: &Policies,
    id: RoleId,
    expected: Option<ExpectedVersions>,
) -> Result<(Role, Permit)> {
    let permit = work.permit()?;
    let visibility = permit.visibility();
    let role = work.read(async |connection: &Connection| store::lock(connection, visibility, id).await).await?;
    let permit = present(work.connection().await?, policies, permit, scope_of(role.owner)).await?;
    permit.check_scopes(role.declared(policies))?;
    ExpectedVersions::check(expected.as_ref(), role.version)?;
    work.before(&role);
    Ok((role, permit))
}

/// Updates a custom role. Other scopes, and other limits of sessions, end the access tokens of the present version.
///
/// # Errors
/// `VALIDATION_FAILED`, `PERMISSION_DENIED`, `NOT_FOUND`, `ETAG_MISMATCH`, `ALREADY_EXISTS`.
pub async fn update(
    work: &mut Work,
    policies: &Policies,
    id: RoleId,
    expected: Option<ExpectedVersions>,
    patch: Patch,
) -> Result<Role> {
    let (role, permit) = lock(work, policies, id, expected).await?;
    let Some(next) = role.apply(policies, patch, work.now())? else { return Ok(role) };
    permit.check_scopes(next.declared(policies))?;
    let row = next.clone();
    work.write(async move |connection: &Connection| store::update(connection, row).await).await?;
    if next.outdates(&role) {
        let ended = SubjectVersion::new(id.0, next.version);
        revocation::begin_version(work.connection().await?, ended).await?;
    }
    Ok(next)
}

/// Deletes a custom role, with the expired invitations to it, which nothing can accept any more.
///
/// # Errors
/// `PERMISSION_DENIED`, `NOT_FOUND`, `ETAG_MISMATCH`, `ROLE_IN_USE`.
pub async fn delete(
    work: &mut Work,
    policies: &Policies,
    id: RoleId,
    expected: Option<ExpectedVersions>,
) -> Result<()> {
    lock(work, policies, id, expected).await?;
    let now = work.now();
    let delete = async move |connection: &Connection| {
        invitations::delete_expired_with(connection, id, now).await?;
        store::delete(connection, id).await
    };
    work.write(delete).await
}

/// Returns the role of an agent or an admin.
pub fn of_staff(user: &User) -> Assigned {
    match (user.role, user.staff_role) {
        (user::Role::Admin, _) => Assigned::BuiltIn(BuiltInRole::Admin),
        (_, Some(custom)) => Assigned::Custom(custom),
        (_, None) => Assigned::BuiltIn(BuiltInRole::Agent),
    }
}

/// Returns what a role grants now.
///
/// # Errors
/// `UNAVAILABLE` if Postgres is needed and unreachable.
pub async fn granted(app: &App, role: Assigned) -> Result<Granted> {
    match role {
        Assigned::BuiltIn(role) => Ok(Granted::BuiltIn(role)),
        role => app.database.read(async move |connection: &Connection| granted_in(connection, role).await).await,
    }
}

/// As [`granted`], in a transaction.
pub(crate) async fn granted_in(connection: &Connection, role: Assigned) -> Result<Granted> {
    match role {
        Assigned::BuiltIn(role) => Ok(Granted::BuiltIn(role)),
        // A role that a user or a member has is not deleted.
        Assigned::Custom(id) => store::get(connection, Visibility::All, id).await.map(Granted::from),
    }
}

/// Checks that the caller holds all scopes of a role, as who assigns it or takes it away must.
///
/// # Errors
/// `PERMISSION_DENIED`, with a scope that the caller lacks; `NOT_FOUND` for a custom role of another owner.
pub async fn check_assignment(
    connection: &Connection,
    permit: &Permit,
    policies: &Policies,
    owner: Owner,
    role: Assigned,
) -> Result<()> {
    match role {
        Assigned::BuiltIn(role) => permit.check_scopes(policies.scopes_of(role).iter().map(Scope::as_str)),
        Assigned::Custom(id) => {
            let role = store::get(connection, Visibility::All, id).await?;
            if role.owner != owner {
                return Err(Error::not_found("role"));
            }
            permit.check_scopes(role.declared(policies))
        }
    }
}

/// Checks that the caller has every scope of another user of the staff, whom a change or an end of sessions is about.
///
/// # Errors
/// `SESSION_REVOKED` as for [`present`]; `PERMISSION_DENIED`, with a scope that the caller lacks.
pub(crate) async fn check_power(
    connection: &Connection,
    policies: &Policies,
    permit: Permit,
    target: &User,
) -> Result<()> {
    let permit = present(connection, policies, permit, USERS).await?;
    match target.role {
        user::Role::Customer => Ok(()),
        user::Role::Agent | user::Role::Admin => {
            check_assignment(connection, &permit, policies, None, of_staff(target)).await
        }
    }
}

/// Returns whether a role exists that the members of an account may have.
pub(crate) async fn exists(connection: &Connection, account: AccountId, role: Assigned) -> Result<bool> {
    let Assigned::Custom(id) = role else { return Ok(true) };
    match store::get(connection, Visibility::All, id).await {
        Ok(role) => Ok(role.owner == Some(account)),
        Err(error) if error.reason() == Reason::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns the scopes of a role.
pub async fn scopes(connection: &Connection, policies: &Policies, role: Assigned) -> Result<Arc<[Scope]>> {
    match role {
        Assigned::BuiltIn(role) => Ok(policies.scopes_of(role)),
        Assigned::Custom(id) => {
            let role = store::get(connection, Visibility::All, id).await?;
            Ok(policies.declared(role.declared(policies)))
        }
    }
}
