//! Service keys: created, listed, rotated and revoked. A caller gives a key only scopes that the caller holds.

mod verify;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};

use crate::identity::{
    account::store as accounts,
    credential::model as token,
    member::store as members,
    revocation::store as revocation,
    role::{model::check_scopes, ops as roles},
    service_key::{
        model::{Draft, Filter, Holder, Kind, ServiceKey},
        store,
    },
    session::ops as session,
    user::store as users,
};
use crate::proto::identity::v1::Reason as IdentityReason;
use mainstay_kernel::{
    audit::Record,
    caller::{Permit, Visibility},
    contract::{
        Policies,
        policy::{BuiltInRole, Scope},
    },
    database::Connection,
    error::{Error, Reason, Result},
    id::ServiceKeyId,
    page::{Listed, Page},
    secret::random,
    unit_of_work::Work,
};

pub(crate) use verify::verify;
// For the removal of sample data, and for the audit log.
pub(crate) use store::{erase, of_account};

/// The scope that gives every role of an account except that of an owner, so that its key takes who has the scopes of an admin.
const PROVISION: &str = "identity.scim.manage";
/// The scope for the keys of an account and, for staff, for every key.
const MANAGE: &str = "identity.service_keys.manage";

/// Creates a key, whose scopes the caller must hold. Its secret is returned only here; only its hash is stored.
///
/// # Errors
/// `VALIDATION_FAILED` for an unknown scope, a scope of the staff in a key of an account, and an expiry in the past or too
/// far ahead; `PERMISSION_DENIED` for a scope that the caller lacks, or that a key for SCIM can give by roles; `NOT_FOUND` for an account that the caller does not reach;
/// `DELETION_SCHEDULED` if the account or the user is to be deleted; `BUSINESS_RULE_VIOLATION` beyond the maximum of keys.
pub async fn create(work: &mut Work, policies: &Policies, draft: Draft) -> Result<(ServiceKey, SecretString)> {
    let (permit, now) = (work.permit()?, work.now());
    let (creator, ..) = session::caller(&permit)?;
    let connection = work.connection().await?;
    let holder = holder(connection, &permit, &draft).await?;
    check_scopes(policies, holder.account(), &draft.scopes, "scopes")?;
    let permit = present(connection, policies, permit, holder).await?;
    check_given(policies, &permit, draft.scopes.iter().map(String::as_str))?;
    if let Some(max) = holder.max_keys()
        && store::count_unrevoked(connection, holder).await? >= max
    {
        let message = format!("There are {max} keys already: revoke unused and expired keys.");
        return Err(Error::with_message(Reason::BusinessRuleViolation, message));
    }
    let expires_at = holder.expiry(draft.expires_at, now)?;
    let key = ServiceKey {
        id: ServiceKeyId::generate(now),
        holder,
        name: draft.name,
        scopes: draft.scopes,
        allowed_networks: draft.allowed_networks,
        known_networks: Vec::new(),
        created_by: creator,
        version: 1,
        created_at: now,
        expires_at,
        earlier_expires_at: None,
        last_used_at: None,
        revoked_at: None,
    };
    let secret = token::write_service_key(key.id, &random());
    store::insert(connection, &key, token::hash(secret.expose_secret())).await?;
    tracing::info!(key = %key.id, kind = ?holder.kind(), by = %creator, "a service key was created");
    Ok((key, secret))
}

/// Returns what a new key acts for.
async fn holder(connection: &Connection, permit: &Permit, draft: &Draft) -> Result<Holder> {
    let is_of_staff = permit.visibility() == Visibility::All;
    let kind = match (draft.kind, draft.account) {
        (Some(kind), _) => kind,
        (None, None) if is_of_staff => Kind::Platform,
        (None, _) => Kind::Account,
    };
    match kind {
        Kind::Person => person(connection, permit, draft).await,
        // Without the scope, the caller reaches the own tokens alone.
        _ if matches!(permit.visibility(), Visibility::Principal(_)) => permit.check_scope(MANAGE).and_then(|()| {
            let message = "The method requires a session with an account.";
            Err(Error::with_message(Reason::PermissionDenied, message))
        }),
        Kind::Account => {
            let account = permit.account(draft.account)?;
            // It must exist, and remain until the key does. An erasure that begins later revokes the key.
            let account = accounts::lock(connection, account).await?;
            if account.deletion_at.is_some() {
                return Err(IdentityReason::DeletionScheduled.into());
            }
            Ok(Holder::Account(account.id))
        }
        Kind::Platform if !is_of_staff => {
            Err(Error::with_message(Reason::PermissionDenied, "Only staff creates a key of the platform."))
        }
        Kind::Platform if draft.account.is_some() => {
            Err(Error::field("accountId", "must be absent for a key of the platform"))
        }
        Kind::Platform => Ok(Holder::Platform),
    }
}

/// Returns the membership of the calling user in the account of the session.
async fn person(connection: &Connection, permit: &Permit, draft: &Draft) -> Result<Holder> {
    let (user, account, _) = session::caller(permit)?;
    let Some(account) = account else {
        let message = "A personal access token requires a session with an account.";
        return Err(Error::with_message(Reason::PermissionDenied, message));
    };
    if draft.account.is_some_and(|named| named != account) {
        return Err(Error::not_found("account"));
    }
    // A deactivation that waits for the lock revokes the token.
    let locked = users::lock(connection, Visibility::All, user).await?;
    if !locked.is_active() {
        return Err(Reason::SessionRevoked.into());
    }
    if !locked.is_staying() {
        return Err(IdentityReason::DeletionScheduled.into());
    }
    let member = members::find(connection, account, user).await?.ok_or(Reason::SessionRevoked)?;
    Ok(Holder::Person { account, member: member.id, user })
}

/// Returns the permit with the scopes at present that the caller may give to a key: for a personal access token those of the
/// membership, otherwise those of the caller's role, which must manage keys.
async fn present(connection: &Connection, policies: &Policies, permit: Permit, holder: Holder) -> Result<Permit> {
    let Holder::Person { account, user, .. } = holder else {
        return roles::present(connection, policies, permit, MANAGE).await;
    };
    let member = members::find(connection, account, user).await?.ok_or(Reason::SessionRevoked)?;
    Ok(permit.with_scopes(roles::scopes(connection, policies, member.role.assigned()).await?))
}

/// Checks that the caller may give these scopes to a key, or to a client of OAuth.
pub(crate) fn check_given<'n>(
    policies: &Policies,
    permit: &Permit,
    mut names: impl Iterator<Item = &'n str> + Clone,
) -> Result<()> {
    permit.check_scopes(names.clone())?;
    if names.any(|name| name == PROVISION) {
        permit.check_scopes(policies.scopes_of(BuiltInRole::AccountAdmin).iter().map(Scope::as_str))?;
    }
    Ok(())
}

/// Returns a page of keys, plus one more if another page follows, and the total unless paging by key.
pub async fn list(connection: &Connection, permit: Permit, filter: Filter, page: Page) -> Result<Listed<ServiceKey>> {
    let visibility = permit.visibility();
    store::list(connection, visibility, filter, page).await
}

/// Returns a key.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, permit: &Permit, id: ServiceKeyId) -> Result<ServiceKey> {
    store::get(connection, permit.visibility(), id).await
}

/// Replaces the secret of a key. The new secret gives the caller the scopes of the key: the caller must hold them, and only
/// the user of a personal access token rotates it.
///
/// # Errors
/// `NOT_FOUND`, also for a key that is not valid; `VALIDATION_FAILED` for an expiry in the past or too far ahead;
/// `PERMISSION_DENIED`.
pub async fn rotate(
    work: &mut Work,
    policies: &Policies,
    id: ServiceKeyId,
    overlap: TimeDelta,
    expires_at: Option<DateTime<Utc>>,
) -> Result<(ServiceKey, SecretString)> {
    let (permit, now) = (work.permit()?, work.now());
    let (caller, ..) = session::caller(&permit)?;
    let key = lock(work, &permit, id).await?;
    if !key.is_valid(now) {
        return Err(Error::not_found("service key"));
    }
    if key.holder.person().is_some_and(|(_, user)| user != caller) {
        let message = "Only the user of a personal access token rotates it.";
        return Err(Error::with_message(Reason::PermissionDenied, message));
    }
    let connection = work.connection().await?;
    if key.holder.kind() != Kind::Person {
        let permit = present(connection, policies, permit, key.holder).await?;
        let declared = policies.declared(key.scopes.iter().map(String::as_str));
        check_given(policies, &permit, declared.iter().map(|scope| scope.as_str()))?;
    }
    // A new secret of the platform outlives the key only if the request says so.
    let kept = key.expires_at.filter(|_| key.holder == Holder::Platform);
    let expires_at = key.holder.expiry(expires_at.or(kept), now)?;
    let key = key.rotate(expires_at, overlap, now);
    let secret = token::write_service_key(id, &random());
    store::rotate(connection, &key, token::hash(secret.expose_secret())).await?;
    // Instances look the secrets up again.
    revocation::begin_version(connection, key.current()).await?;
    tracing::info!(key = %id, by = %caller, "the secret of a service key was rotated");
    Ok((key, secret))
}

async fn lock(work: &mut Work, permit: &Permit, id: ServiceKeyId) -> Result<ServiceKey> {
    let visibility = permit.visibility();
    let key = work.read(async |connection: &Connection| store::lock(connection, visibility, id).await).await?;
    work.before(&key);
    Ok(key)
}

/// Revokes a key; the time of the first revocation stays.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn revoke(work: &mut Work, id: ServiceKeyId) -> Result<()> {
    let (permit, now) = (work.permit()?, work.now());
    let key = lock(work, &permit, id).await?;
    let revoked = ServiceKey { revoked_at: key.revoked_at.or(Some(now)), ..key.clone() };
    if key.revoked_at.is_none() {
        let connection = work.connection().await?;
        store::update(connection, &revoked).await?;
        revocation::end_key(connection, id).await?;
    }
    work.audit(Record::updated(&key, &revoked));
    Ok(())
}
