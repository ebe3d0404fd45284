//! Service keys: created, listed and revoked by staff.

use secrecy::{ExposeSecret as _, SecretString};

use crate::identity::{
    credential::model as token,
    role::ops as roles,
    service_key::{
        model::{Draft, ServiceKey},
        store,
    },
    session::ops as session,
};
use mainstay_kernel::{
    caller::Permit,
    contract::Policies,
    database::Connection,
    error::{Error, Result},
    id::{ServiceKeyId, UserId},
    page::{Start, Total},
    secret::random,
    unit_of_work::Work,
};

// For the removal of sample data.
pub(crate) use store::erase;

/// Creates a key, whose scopes the caller must hold. Its secret is returned only here; only its hash is stored.
///
/// # Errors
/// `PERMISSION_DENIED` for a scope that the caller lacks; `VALIDATION_FAILED` if the expiry is in the past.
pub async fn create(work: &mut Work, policies: &Policies, draft: Draft) -> Result<(ServiceKey, SecretString)> {
    let (permit, now) = (work.permit()?, work.now());
    let (admin, ..) = session::caller(&permit)?;
    let permit = roles::present(work.connection().await?, policies, permit, "identity.service_keys.manage").await?;
    permit.check_scopes(draft.scopes.iter().map(String::as_str))?;
    if draft.expires_at.is_some_and(|end| end <= now) {
        return Err(Error::field("expireTime", "must be in the future"));
    }
    let Draft { name, scopes, expires_at } = draft;
    let id = ServiceKeyId::generate(now);
    let key = ServiceKey { id, name, scopes, created_by: admin, created_at: now, expires_at, revoked_at: None };
    let secret = token::write_service_key(id, &random());
    store::insert(work.connection().await?, &key, token::hash(secret.expose_secret())).await?;
    tracing::info!(key = %id, admin = %admin, "a service key was created");
    Ok((key, secret))
}

/// Returns a page of keys, optionally only those created by one user, plus one more if another page follows, and the
/// total unless paging by key.
pub async fn list(
    connection: &mut Connection,
    _permit: Permit,
    created_by: Option<UserId>,
    start: Start,
    limit: i64,
) -> Result<(Vec<ServiceKey>, Option<Total>)> {
    let total = start.total(store::total(connection, created_by)).await?;
    Ok((store::list(connection, created_by, start, limit + 1).await?, total))
}

/// Returns a key.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, _permit: &Permit, id: ServiceKeyId) -> Result<ServiceKey> {
    store::get(connection, id).await
}

/// Revokes a key. Idempotent.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn revoke(work: &mut Work, id: ServiceKeyId) -> Result<()> {
    work.permit()?;
    let now = work.now();
    store::revoke(work.connection().await?, id, now).await
}
