//! Registered clients: created, changed, rotated and deleted by the staff, and authenticated by their secrets.

mod token;

use chrono::TimeDelta;
use mainstay_kernel::{
    app::App,
    caller::Permit,
    contract::Policies,
    database::Connection,
    error::{Error, Result},
    id::ServiceKeyId,
    page::{Listed, Page},
    secret::random,
    unit_of_work::Work,
    version::ExpectedVersions,
};
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

use crate::{
    identity::{
        account::store as accounts,
        credential::model::{self as secrets, Fingerprint},
        oauth_client::{
            id::OauthClientId,
            model::{Draft, GrantType, OauthClient, Patch},
            store,
        },
        revocation::store as revocation,
        role::ops as roles,
        service_key::ops as service_key,
        session::store as sessions,
    },
    proto::identity::v1::Reason as IdentityReason,
};

// For the audit log.
pub(crate) use store::of_account;
pub(crate) use token::{issue, verify};

/// The scope for clients.
const MANAGE: &str = "identity.oauth_clients.manage";

/// Registers a client. The secret of a confidential one is returned only here; only its hash is stored.
///
/// # Errors
/// `VALIDATION_FAILED`; `PERMISSION_DENIED` for a scope that the caller lacks, of a client with client credentials; `NOT_FOUND`
/// and `DELETION_SCHEDULED` for an account.
pub async fn create(work: &mut Work, policies: &Policies, draft: Draft) -> Result<(OauthClient, Option<SecretString>)> {
    let (permit, now) = (work.permit()?, work.now());
    let client = OauthClient::new(policies, draft, now)?;
    let connection = work.connection().await?;
    let permit = roles::present(connection, policies, permit, MANAGE).await?;
    service_key::check_given(policies, &permit, client.gained(None))?;
    if let Some(account) = client.account {
        // The account must exist, and remain until the client is stored. An erasure that begins later ends the client.
        let account = accounts::lock(connection, account).await?;
        if account.deletion_at.is_some() {
            return Err(IdentityReason::DeletionScheduled.into());
        }
    }
    let secret = client.is_confidential.then(|| secrets::write_client_secret(&random()));
    let hash = secret.as_ref().map(|secret| secrets::hash(secret.expose_secret()));
    store::insert(connection, &client, hash).await?;
    Ok((client, secret))
}

/// Returns a client.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, _: &Permit, id: OauthClientId) -> Result<OauthClient> {
    store::get(connection, id).await
}

/// Returns a page of clients plus one more if another page follows, and the total unless paging by key.
pub async fn list(connection: &Connection, _: Permit, page: Page) -> Result<Listed<OauthClient>> {
    let total = page.total(store::total(connection)).await?;
    Ok((store::list(connection, page.and_next()).await?, total))
}

async fn lock(
    work: &mut Work,
    policies: &Policies,
    id: OauthClientId,
    expected: Option<&ExpectedVersions>,
) -> Result<(OauthClient, Permit)> {
    let permit = work.permit()?;
    let client = work.read(async |connection: &Connection| store::lock(connection, id).await).await?;
    let permit = roles::present(work.connection().await?, policies, permit, MANAGE).await?;
    ExpectedVersions::check(expected, client.version)?;
    work.before(&client);
    Ok((client, permit))
}

/// Makes all instances look at a client again, before they accept a token of the client itself.
async fn begin_version(connection: &mut Connection, before: &OauthClient, next: &OauthClient) -> Result<()> {
    if before.may_use(GrantType::ClientCredentials) {
        revocation::begin_version(connection, next.current()).await?;
    }
    Ok(())
}

/// Changes a client.
///
/// # Errors
/// `VALIDATION_FAILED`, `NOT_FOUND`, `ETAG_MISMATCH`; `PERMISSION_DENIED` for a scope that the caller lacks and the client gains
/// for itself.
pub async fn update(
    work: &mut Work,
    policies: &Policies,
    id: OauthClientId,
    expected: Option<ExpectedVersions>,
    patch: Patch,
) -> Result<OauthClient> {
    let (client, permit) = lock(work, policies, id, expected.as_ref()).await?;
    let Some(next) = client.apply(policies, patch, work.now())? else { return Ok(client) };
    service_key::check_given(policies, &permit, next.gained(Some(&client)))?;
    let connection = work.connection().await?;
    store::update(connection, &next).await?;
    begin_version(connection, &client, &next).await?;
    Ok(next)
}

/// Replaces the secret of a confidential client.
///
/// # Errors
/// `NOT_FOUND`, also for a public client; `PERMISSION_DENIED` for a scope that the caller lacks, of a client with client
/// credentials: its secret gives them.
pub async fn rotate(
    work: &mut Work,
    policies: &Policies,
    id: OauthClientId,
    overlap: TimeDelta,
) -> Result<(OauthClient, SecretString)> {
    let (before, permit) = lock(work, policies, id, None).await?;
    if !before.is_confidential {
        return Err(Error::not_found("secret"));
    }
    service_key::check_given(policies, &permit, before.gained(None))?;
    let client = before.clone().rotate(overlap, work.now());
    let secret = secrets::write_client_secret(&random());
    let connection = work.connection().await?;
    store::rotate(connection, &client, secrets::hash(secret.expose_secret())).await?;
    begin_version(connection, &before, &client).await?;
    tracing::info!(client = %id, "the secret of a client was rotated");
    Ok((client, secret))
}

/// Deletes a client, with the consents to it, and ends its sessions.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`.
pub async fn delete(
    work: &mut Work,
    policies: &Policies,
    id: OauthClientId,
    expected: Option<ExpectedVersions>,
) -> Result<()> {
    let (client, _) = lock(work, policies, id, expected.as_ref()).await?;
    let connection = work.connection().await?;
    // The lock excludes the authorizations and exchanges of codes that would begin sessions afterwards.
    store::delete(connection, id).await?;
    if client.may_use(GrantType::ClientCredentials) {
        // Tokens of the client itself end like the uses of a service key.
        revocation::end_key(connection, ServiceKeyId(id.0)).await?;
    }
    sessions::end_of_client(connection, id, None).await
}

/// A client that has proved who it is, and by which secret; without one if it is public.
pub(crate) type Authenticated = (OauthClient, Option<Fingerprint>);

/// Returns the client of an id and a secret. A confidential client must send its secret, a public one none. `None` if the client
/// is unknown or the secret is wrong, in the same time.
///
/// # Errors
/// `UNAVAILABLE` if Postgres is unreachable.
pub(crate) async fn authenticate(app: &App, id: OauthClientId, secret: Option<&str>) -> Result<Option<Authenticated>> {
    let found = app.database.autocommit(async move |connection| store::with_hashes(connection, id).await).await?;
    let Some((client, hashes)) = found else { return Ok(None) };
    let Some(secret) = secret else {
        return Ok(Some((client, None)).filter(|(client, _)| !client.is_confidential));
    };
    let hash = secrets::hash(secret);
    let is = |stored: &Option<Vec<u8>>| stored.as_ref().is_some_and(|stored| hash.ct_eq(stored).into());
    let is_earlier = client.earlier_expires_at.is_some_and(|end| app.clock.now() < end) && is(&hashes.earlier);
    Ok(Some((client, Some(secrets::fingerprint(&hash)))).filter(|_| is(&hashes.current) || is_earlier))
}

/// Returns a client without a check of its secret; `None` if it is unknown.
///
/// # Errors
/// `UNAVAILABLE` if Postgres is unreachable.
pub(crate) async fn find(app: &App, id: OauthClientId) -> Result<Option<OauthClient>> {
    let found = app.database.autocommit(async move |connection| store::with_hashes(connection, id).await).await?;
    Ok(found.map(|(client, _)| client))
}
