//! Registered clients: created, changed, rotated and deleted by the staff, and authenticated by their secrets.

use chrono::TimeDelta;
use mainstay_kernel::{
    app::App,
    caller::Permit,
    contract::Policies,
    database::Connection,
    error::{Error, Result},
    page::{Listed, Page},
    secret::random,
    unit_of_work::Work,
    version::ExpectedVersions,
};
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

use crate::identity::{
    credential::model as token,
    oauth_client::{
        id::OauthClientId,
        model::{Draft, OauthClient, Patch},
        store,
    },
    role::ops as roles,
    session::store as sessions,
};

/// The scope for clients.
const MANAGE: &str = "identity.oauth_clients.manage";

/// Registers a client. The secret of a confidential one is returned only here; only its hash is stored.
///
/// # Errors
/// `VALIDATION_FAILED`.
pub async fn create(work: &mut Work, policies: &Policies, draft: Draft) -> Result<(OauthClient, Option<SecretString>)> {
    let (permit, now) = (work.permit()?, work.now());
    let client = OauthClient::new(policies, draft, now)?;
    let connection = work.connection().await?;
    roles::present(connection, policies, permit, MANAGE).await?;
    let secret = client.is_confidential.then(|| token::write_client_secret(&random()));
    let hash = secret.as_ref().map(|secret| token::hash(secret.expose_secret()));
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
) -> Result<OauthClient> {
    let permit = work.permit()?;
    let client = work.read(async |connection: &Connection| store::lock(connection, id).await).await?;
    roles::present(work.connection().await?, policies, permit, MANAGE).await?;
    ExpectedVersions::check(expected, client.version)?;
    work.before(&client);
    Ok(client)
}

/// Changes a client.
///
/// # Errors
/// `VALIDATION_FAILED`, `NOT_FOUND`, `ETAG_MISMATCH`.
pub async fn update(
    work: &mut Work,
    policies: &Policies,
    id: OauthClientId,
    expected: Option<ExpectedVersions>,
    patch: Patch,
) -> Result<OauthClient> {
    let client = lock(work, policies, id, expected.as_ref()).await?;
    let Some(next) = client.apply(policies, patch, work.now())? else { return Ok(client) };
    store::update(work.connection().await?, &next).await?;
    Ok(next)
}

/// Replaces the secret of a confidential client.
///
/// # Errors
/// `NOT_FOUND`, also for a public client.
pub async fn rotate(
    work: &mut Work,
    policies: &Policies,
    id: OauthClientId,
    overlap: TimeDelta,
) -> Result<(OauthClient, SecretString)> {
    let client = lock(work, policies, id, None).await?;
    if !client.is_confidential {
        return Err(Error::not_found("secret"));
    }
    let client = client.rotate(overlap, work.now());
    let secret = token::write_client_secret(&random());
    store::rotate(work.connection().await?, &client, token::hash(secret.expose_secret())).await?;
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
    lock(work, policies, id, expected.as_ref()).await?;
    let connection = work.connection().await?;
    // The lock excludes the authorizations and exchanges of codes that would begin sessions afterwards.
    store::delete(connection, id).await?;
    sessions::end_of_client(connection, id, None).await
}

/// Returns the client of an id and a secret. A confidential client must send its secret, a public one none. `None` if the client
/// is unknown or the secret is wrong, in the same time.
///
/// # Errors
/// `UNAVAILABLE` if Postgres is unreachable.
pub(crate) async fn authenticate(app: &App, id: OauthClientId, secret: Option<&str>) -> Result<Option<OauthClient>> {
    let found = app.database.autocommit(async move |connection| store::with_hashes(connection, id).await).await?;
    let Some((client, hashes)) = found else { return Ok(None) };
    let Some(secret) = secret else { return Ok(Some(client).filter(|client| !client.is_confidential)) };
    let hash = token::hash(secret);
    let is = |stored: &Option<Vec<u8>>| stored.as_ref().is_some_and(|stored| hash.ct_eq(stored).into());
    let is_earlier = client.earlier_expires_at.is_some_and(|end| app.clock.now() < end) && is(&hashes.earlier);
    Ok(Some(client).filter(|_| is(&hashes.current) || is_earlier))
}

/// Returns a client without a check of its secret; `None` if it is unknown.
///
/// # Errors
/// `UNAVAILABLE` if Postgres is unreachable.
pub(crate) async fn find(app: &App, id: OauthClientId) -> Result<Option<OauthClient>> {
    let found = app.database.autocommit(async move |connection| store::with_hashes(connection, id).await).await?;
    Ok(found.map(|(client, _)| client))
}
