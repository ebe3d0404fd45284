//! Providers of accounts: holders of a scope manage them, and people with an address of a proved mail domain find them.

use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    identity::{
        account::store as accounts,
        account_domain::ops as account_domain,
        account_provider::{
            id::AccountProviderId,
            model::{AccountProvider, GROUPS_CLAIM, GroupRole, Patch, WithRedirect},
            store,
        },
        config::IdentityConfig,
        member::model::{AccountRole, MemberRole},
        role::ops as roles,
        user::model::EmailAddress,
    },
    mail::ops as mail,
    proto::identity::v1::Reason as IdentityReason,
};
use mainstay_kernel::{
    app::App,
    caller::{Permit, Visibility},
    contract::Policies,
    database::Connection,
    error::{Error, Result},
    id::AccountId,
    outbound::check_url,
    page::{Listed, Page},
    schedule::BATCH,
    secret::SecretKey,
    unit_of_work::Work,
    version::ExpectedVersions,
};

/// The scope for providers of accounts.
const MANAGE: &str = "identity.providers.manage";

/// A provider to be added.
#[derive(Debug)]
pub struct Draft {
    pub account: Option<AccountId>,
    pub issuer: String,
    pub client_id: String,
    pub client_secret: Option<SecretString>,
    pub display_name: String,
    pub enforced: bool,
    pub groups_claim: Option<String>,
    pub groups: Vec<GroupRole>,
    pub default_role: AccountRole,
}

/// Returns the URI to which a provider sends people back.
pub fn redirect_uri(app: &App, id: AccountProviderId) -> String {
    format!("{}/auth/oidc/{id}/callback", mail::public_url(app))
}

/// Adds the URI to which a provider sends people back.
pub fn with_redirect(app: &App, provider: AccountProvider) -> WithRedirect {
    WithRedirect { redirect_uri: redirect_uri(app, provider.id), provider }
}

/// Seals the secret of a provider.
fn seal(key: &SecretKey, id: AccountProviderId, secret: Option<SecretString>) -> Result<Option<Vec<u8>>> {
    let seal = |secret: SecretString| key.seal(&AccountProvider::label(id), secret.expose_secret().as_bytes());
    secret.map(seal).transpose()
}

/// Opens the secret of a provider.
///
/// # Errors
/// `INTERNAL_ERROR` if it is sealed under another `SECRET_KEY`.
pub(crate) fn open(key: &SecretKey, provider: &AccountProvider) -> Result<Option<SecretString>> {
    let Some(sealed) = &provider.client_secret else { return Ok(None) };
    let opened = key.unseal(&AccountProvider::label(provider.id), sealed);
    let text = opened.and_then(|plain| String::from_utf8(plain.expose_secret().clone()).ok());
    text.map(|text| Some(text.into())).ok_or_else(|| broken(provider.id))
}

fn broken(id: AccountProviderId) -> Error {
    Error::internal(anyhow::anyhow!("the secret of the provider {id} is sealed under another SECRET_KEY"))
}

/// Checks the issuer. The server calls it, so that it must be a public one, as the endpoints of webhooks.
fn check_issuer(app: &App, issuer: &str) -> Result<()> {
    let allow_private = app.config.section::<IdentityConfig>().allow_private_providers;
    let url = check_url("issuer", issuer, allow_private)?;
    if url.contains('?') { Err(Error::field("issuer", "must have no query")) } else { Ok(()) }
}

/// Checks that the caller manages providers at present, and has every scope of the roles that people get.
async fn check_roles(
    connection: &Connection,
    policies: &Policies,
    permit: &Permit,
    provider: &AccountProvider,
) -> Result<()> {
    let permit = roles::present(connection, policies, permit.clone(), MANAGE).await?;
    let owner = Some(provider.account);
    for role in provider.roles() {
        roles::check_assignment(connection, &permit, policies, owner, role.assigned()).await?;
    }
    Ok(())
}

/// Adds a provider to an account.
///
/// # Errors
/// `VALIDATION_FAILED` for an issuer that is not public, and if no account is named; `NOT_FOUND` for another account, or a custom
/// role of another one; `PERMISSION_DENIED` if the caller lacks a scope of a role; `ALREADY_EXISTS`, `DELETION_SCHEDULED`.
pub async fn create(work: &mut Work, app: &App, draft: Draft) -> Result<AccountProvider> {
    let (permit, now) = (work.permit()?, work.now());
    let account = permit.account(draft.account)?;
    check_issuer(app, &draft.issuer)?;
    let id = AccountProviderId::generate(now);
    let provider = AccountProvider {
        id,
        account,
        issuer: draft.issuer,
        client_id: draft.client_id,
        client_secret: seal(&app.secret, id, draft.client_secret)?,
        display_name: draft.display_name,
        enforced_at: draft.enforced.then_some(now),
        groups_claim: draft.groups_claim.unwrap_or_else(|| GROUPS_CLAIM.to_owned()),
        groups: draft.groups,
        default_role: draft.default_role,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let connection = work.connection().await?;
    if accounts::lock(connection, account).await?.deletion_at.is_some() {
        return Err(IdentityReason::DeletionScheduled.into());
    }
    check_roles(connection, &app.contract.policies, &permit, &provider).await?;
    store::insert(connection, &provider).await?;
    if provider.enforced_at.is_some() {
        store::outdate_tokens(connection, account).await?;
    }
    Ok(provider)
}

/// Returns a provider.
///
/// # Errors
/// `NOT_FOUND`, also for the provider of an account that the caller does not reach.
pub async fn get(connection: &Connection, permit: &Permit, id: AccountProviderId) -> Result<AccountProvider> {
    store::get(connection, permit.visibility(), id).await
}

/// Returns a page of providers plus one more if another page follows, and the total unless paging by key.
pub async fn list(
    connection: &Connection,
    permit: Permit,
    account: Option<AccountId>,
    page: Page,
) -> Result<Listed<AccountProvider>> {
    store::list(connection, permit.visibility(), account, page).await
}

/// Locks the account and then the provider, as a change does.
async fn lock(
    connection: &Connection,
    permit: &Permit,
    id: AccountProviderId,
    expected: Option<&ExpectedVersions>,
) -> Result<AccountProvider> {
    let account = store::get(connection, permit.visibility(), id).await?.account;
    accounts::lock(connection, account).await?;
    let provider = store::lock(connection, id).await?;
    ExpectedVersions::check(expected, provider.version)?;
    Ok(provider)
}

/// Returns the new value of a secret in a patch, sealed.
///
/// # Errors
/// `INTERNAL_ERROR` if the cipher fails.
pub fn new_secret(app: &App, id: AccountProviderId, secret: Option<SecretString>) -> Result<Option<Vec<u8>>> {
    seal(&app.secret, id, secret)
}

/// Updates a provider. A patch that changes nothing keeps the version.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`; `PERMISSION_DENIED` if the caller lacks a scope of a role that people get.
pub async fn update(
    work: &mut Work,
    app: &App,
    id: AccountProviderId,
    expected: Option<ExpectedVersions>,
    patch: Patch,
) -> Result<AccountProvider> {
    let (permit, now) = (work.permit()?, work.now());
    let connection = work.connection().await?;
    let provider = lock(connection, &permit, id, expected.as_ref()).await?;
    let next = provider.apply(patch, now);
    check_roles(connection, &app.contract.policies, &permit, next.as_ref().unwrap_or(&provider)).await?;
    if let Some(next) = &next {
        store::update(connection, next).await?;
        if next.enforced_at.is_some() && provider.enforced_at.is_none() {
            store::outdate_tokens(connection, next.account).await?;
        }
    }
    work.before(&with_redirect(app, provider.clone()));
    Ok(next.unwrap_or(provider))
}

/// Deletes a provider, with its sessions and its identities. Members stay.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`, `PERMISSION_DENIED`.
pub async fn delete(
    work: &mut Work,
    app: &App,
    id: AccountProviderId,
    expected: Option<ExpectedVersions>,
) -> Result<()> {
    let permit = work.permit()?;
    let connection = work.connection().await?;
    let provider = lock(connection, &permit, id, expected.as_ref()).await?;
    roles::present(connection, &app.contract.policies, permit, MANAGE).await?;
    store::delete(connection, id).await?;
    work.before(&with_redirect(app, provider));
    Ok(())
}

/// Returns the provider of the account that has proved the domain of an address.
///
/// # Errors
/// `NOT_FOUND` if no account with a provider has.
pub async fn find(app: &App, email: &EmailAddress) -> Result<AccountProvider> {
    let find = async move |connection: &mut Connection| match account_domain::verified(connection, email).await? {
        Some(domain) => store::of_account(connection, domain.account).await,
        None => Ok(None),
    };
    app.database.autocommit(find).await?.ok_or_else(|| Error::not_found("sign-in provider"))
}

/// Returns a provider by its id, for a sign-in.
///
/// # Errors
/// `NOT_FOUND`.
pub(crate) async fn by_id(app: &App, id: AccountProviderId) -> Result<AccountProvider> {
    let get = async move |connection: &mut Connection| store::get(connection, Visibility::All, id).await;
    app.database.autocommit(get).await
}

/// Returns the role that a provider gives a person in groups: the first one whose role exists.
pub(crate) async fn role_of(
    connection: &Connection,
    provider: &AccountProvider,
    groups: &[String],
) -> Result<MemberRole> {
    for role in provider.roles_of(groups) {
        if roles::exists(connection, provider.account, role.assigned()).await? {
            return Ok(role);
        }
    }
    Ok(provider.default_role())
}

/// Seals all secrets again, with the present `SECRET_KEY`. Returns how many.
///
/// # Errors
/// `INTERNAL_ERROR` if one is sealed under a key that is not given; `UNAVAILABLE` if Postgres is unreachable.
pub async fn reseal(app: &App) -> Result<usize> {
    let (mut count, mut last) = (0, AccountProviderId(uuid::Uuid::nil()));
    loop {
        let batch = app.database.autocommit(async move |connection| store::secrets(connection, last, BATCH).await);
        let batch = batch.await?;
        let Some((id, _)) = batch.last() else { return Ok(count) };
        last = *id;
        for (id, old) in batch {
            let label = AccountProvider::label(id);
            let plain = app.secret.unseal(&label, &old).ok_or_else(|| broken(id))?;
            let new = app.secret.seal(&label, plain.expose_secret())?;
            app.database.autocommit(async move |connection| store::reseal(connection, id, old, new).await).await?;
            count += 1;
        }
    }
}
