//! Sign-in with a provider: the browser is sent there, and its return ends in a session or a link.

mod account;

use std::{net::IpAddr, sync::Arc, time::Duration};

use chrono::DateTime;
use secrecy::SecretString;

use crate::{
    identity::{
        account_domain::ops as account_domain,
        account_provider::{id::AccountProviderId, model::AccountProvider, ops as account_provider},
        auth::{
            limits,
            networks::KnownNetworks,
            ops::{self as auth, Proved, SignedIn},
        },
        config::Provider,
        linked_identity::ops as identities,
        provider::{
            client::{ProviderClient, Providers},
            model::{Answer, Attempt, DEFAULT_PATH, Intent, LIFE, Person},
        },
        registration::ops::{self as registration, Profile},
        session::{
            model::{Device, Method, Proof},
            ops as session,
        },
        sign_in::{model::Outcome, ops as sign_in},
        user::{
            model::{self as user, EmailAddress, Role, User},
            store as users,
        },
    },
    proto::identity::v1::Reason as IdentityReason,
};
use mainstay_kernel::{
    app::App,
    caller::Visibility,
    config::Quota,
    database::Connection,
    error::{Error, Reason, Result},
    id::{SessionId, UserId},
    rate_limit::AttemptLimit,
    unit_of_work::Work,
};

/// The maximum duration of the end of a sign-in: its calls read the metadata, the tokens, the keys and the address.
const TOTAL: Duration = Duration::from_secs(18);

/// A sign-in that has begun: where the browser goes, and what it keeps.
#[derive(Debug)]
pub struct Begun {
    /// The URL at the provider.
    pub url: String,
    /// The sealed sign-in, for a cookie.
    pub cookie: String,
    /// Whether the response arrives as a form from a page of the provider.
    pub is_form_post: bool,
}

/// The browser that returns from a provider.
#[derive(Debug)]
pub struct Browser {
    /// The sealed sign-in.
    pub cookie: Option<String>,
    pub device: Device,
    pub from: IpAddr,
}

/// The end of a sign-in with a provider.
#[derive(Debug)]
pub enum Finished {
    SignedIn(SignedIn),
    /// The person is linked to the user of the session that continues.
    Linked,
}

/// Begins a sign-in of a device with a token. With `is_fresh`, the provider is to authenticate the person again, so that the
/// sign-in is recent.
///
/// # Errors
/// `NOT_FOUND` if there is no such provider; `UPSTREAM_FAILED` and others if it can't be reached.
pub async fn begin(
    app: &App,
    name: &str,
    return_path: String,
    intent: Intent,
    is_fresh: bool,
    device_token: Option<String>,
) -> Result<Begun> {
    let (provider, _) = client(app, name).await?;
    let attempt = Attempt::begin(name, return_path, intent, app.clock.now()).of_device(device_token);
    let url = provider.authorization_url(&attempt, is_fresh).await?;
    Ok(Begun { url, cookie: attempt.seal(&app.secret)?, is_form_post: provider.is_form_post() })
}

/// Returns the client of a provider: one of the configuration by its name, or that of an account by its id.
async fn client(app: &App, name: &str) -> Result<(Arc<ProviderClient>, Option<AccountProvider>)> {
    let providers = app.part::<Providers>();
    // A name in the configuration has no hyphen, and the id of an account's provider has some.
    if !name.contains('-') {
        return Ok((providers.find(name)?, None));
    }
    let id = AccountProviderId::parse(name).map_err(|_| Error::not_found("sign-in provider"))?;
    let provider = account_provider::by_id(app, id).await?;
    Ok((providers.of_account(app, &provider)?, Some(provider)))
}

/// Begins a link to the user of a refresh token, who must have authenticated recently, with all factors that are required.
///
/// # Errors
/// As [`begin`]; those of [`session::of_token`]; `REAUTHENTICATION_REQUIRED`; `NOT_FOUND` for the provider of an account, which
/// links people by their addresses alone; `SESSION_OF_ONE_ACCOUNT` for a session of such a provider.
pub async fn begin_link(app: &App, name: &str, return_path: String, token: &str) -> Result<Begun> {
    let session = session::of_token(app, token).await?;
    session::check_recent(&session, app.clock.now())?;
    app.part::<Providers>().find(name)?;
    if session.provider.is_some() {
        return Err(IdentityReason::SessionOfOneAccount.into());
    }
    begin(app, name, return_path, Intent::link(session.user, session.id), false, None).await
}

/// Completes a sign-in with the response that the browser brings. Returns the page to show, too.
pub async fn finish(app: &App, name: &str, answer: Answer, browser: Browser) -> (String, Result<Finished>) {
    let attempt = browser.cookie.as_deref().and_then(|cookie| Attempt::open(&app.secret, cookie, app.clock.now()));
    let Some(attempt) = attempt.filter(|attempt| attempt.admits(name, answer.state.as_deref())) else {
        return (DEFAULT_PATH.to_owned(), Err(Reason::InvalidToken.into()));
    };
    let finished = tokio::time::timeout(TOTAL, complete(app, &attempt, &answer, browser)).await;
    let finished = finished.unwrap_or_else(|_| Err(Reason::UpstreamTimeout.into()));
    if attempt.intent == Intent::SignIn && finished.is_err() {
        sign_in::count(app, Outcome::Refused).await;
    }
    (attempt.return_path, finished)
}

async fn complete(app: &App, attempt: &Attempt, answer: &Answer, browser: Browser) -> Result<Finished> {
    limits::provider_sign_in(app, browser.from).await?;
    use_up(app, attempt).await?;
    let (client, of_account) = client(app, &attempt.provider).await?;
    if let Some(error) = &answer.error {
        tracing::info!(provider = attempt.provider, error, "a provider refused a sign-in");
        return Err(Error::with_message(Reason::PermissionDenied, "The provider refused the sign-in."));
    }
    let person = client.person(attempt, answer).await?;
    let device_token = attempt.device_token.clone().map(SecretString::from);
    match (attempt.intent, of_account) {
        (Intent::SignIn, None) => sign_in_as(app, &client, person, browser, device_token).await.map(Finished::SignedIn),
        (Intent::SignIn, Some(provider)) => {
            account::sign_in(app, provider, person, browser, device_token).await.map(Finished::SignedIn)
        }
        (Intent::Link { user, session }, None) => {
            link(app, UserId(user), SessionId(session), person).await.map(|()| Finished::Linked)
        }
        (Intent::Link { .. }, Some(_)) => Err(Reason::InvalidToken.into()),
    }
}

/// Consumes a sign-in, which is admitted once. The count outlives the cookie, also without Redis.
async fn use_up(app: &App, attempt: &Attempt) -> Result<()> {
    let once = Quota { requests: 1, window: LIFE.to_std().unwrap_or(Duration::from_secs(600)) };
    let limit = AttemptLimit::new("provider-sign-in", attempt.state.as_bytes(), once).confidential();
    match app.limiter.attempt(&[limit]).await {
        Err(error) if error.reason() == Reason::RateLimitExceeded => Err(Reason::InvalidToken.into()),
        counted => counted.map(drop),
    }
}

/// Links a person to the user of a session that continues.
async fn link(app: &App, user: UserId, session: SessionId, person: Person) -> Result<()> {
    let read = async move |connection: &mut Connection| users::get(connection, Visibility::All, user).await;
    let owner = app.database.autocommit(read).await?;
    session::check(app, &owner, session).await?;
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let linked = identities::find(work.connection().await?, &person).await?;
        match linked {
            Some(identity) if identity.user == user => Ok(()),
            Some(_) => Err(Error::with_message(Reason::AlreadyExists, "The identity is linked to another user.")),
            None => identities::link(work, user, &person).await,
        }
    });
    transaction.await
}

/// Returns the proof that a provider gives.
fn proof_of(app: &App, person: &Person) -> Proof {
    let now = app.clock.now();
    // A provider that has a session of the browser may have asked nothing: only its word makes the sign-in a recent one.
    let at = person.authenticated_at.map_or(DateTime::UNIX_EPOCH, |at| at.min(now).max(DateTime::UNIX_EPOCH));
    Proof { at, method: Method::Provider, has_second_factor: false }
}

/// Signs in the user of a person: the linked one, or the customer whose address the provider assigns, or a new customer.
async fn sign_in_as(
    app: &App,
    client: &ProviderClient,
    person: Person,
    browser: Browser,
    device_token: Option<SecretString>,
) -> Result<SignedIn> {
    let (proof, known) = (proof_of(app, &person), &person);
    let find = async move |connection: &mut Connection| users::by_identity(connection, known).await;
    let user = match app.database.autocommit(find).await? {
        Some(user) => user,
        None => unknown(app, &client.config, person, browser.from).await?,
    };
    if !user.is_active() {
        auth::refused(app, &user.email, Some(&user), browser.from).await?;
        return Err(IdentityReason::UserDeactivated.into());
    }
    let is_known = app.part::<KnownNetworks>().contains(&user.email, browser.from).await;
    let known = auth::known_device(app, &user.email, device_token.as_ref());
    let proved = Proved { user, is_known, device: known, proof, remembered: None, provider: None };
    auth::finish(app, proved, browser.device, None, browser.from).await
}

/// Returns the user of a person who is linked to none.
async fn unknown(app: &App, provider: &Provider, person: Person, from: IpAddr) -> Result<User> {
    let email = verified_address(provider, &person)?;
    let by_email = async |connection: &mut Connection| users::by_email(connection, &email).await;
    let known = app.database.autocommit(by_email).await?.map(|(user, _)| user);
    match known {
        None => register(app, email, person).await,
        // The provider decides who has the address, so that it may decide who the user is, except for the staff.
        Some(user) if may_link(&user, &email) && provider.is_authoritative_for(&email, hosted_domain(&person)) => {
            let user = link_by_address(app, user.id, email, person).await?;
            tracing::info!(user = %user.id, provider = provider.name, "an identity was linked by its address");
            Ok(user)
        }
        Some(user) => {
            auth::refused(app, &email, Some(&user), from).await?;
            Err(taken())
        }
    }
}

/// Returns whether a provider that assigns an address may decide who the user is.
fn may_link(user: &User, email: &EmailAddress) -> bool {
    user.role == Role::Customer && user.is_active() && user.email == *email
}

fn taken() -> Error {
    let message = "A user has this address. Sign in with the password, and link the provider afterwards.";
    Error::with_message(Reason::AlreadyExists, message)
}

fn hosted_domain(person: &Person) -> Option<&str> {
    person.hosted_domain.as_deref()
}

/// Links a person to the customer who has the address.
async fn link_by_address(app: &App, id: UserId, email: EmailAddress, person: Person) -> Result<User> {
    let transaction = app.database.transaction(async move |work: &mut Work| {
        // The customer may have joined the staff, or changed the address, since the address was looked up.
        let user = users::lock(work.connection().await?, Visibility::All, id).await?;
        if !may_link(&user, &email) {
            return Err(taken());
        }
        identities::link(work, id, &person).await?;
        Ok(user)
    });
    transaction.await
}

/// Returns the address of a person, which the provider has verified, or assigns.
fn verified_address(provider: &Provider, person: &Person) -> Result<EmailAddress> {
    let email = person.email.as_deref().and_then(|email| EmailAddress::parse(email).ok());
    let is_verified = |email: &EmailAddress| match person.is_verified {
        Some(is_verified) => is_verified,
        None => provider.is_authoritative_for(email, hosted_domain(person)),
    };
    email.filter(is_verified).ok_or_else(|| {
        let message = "The provider does not confirm an e-mail address of yours, which a registration needs.";
        Error::with_message(IdentityReason::RegistrationClosed, message)
    })
}

/// Creates a customer without a password, with an account or in that of the mail domain, for a person.
async fn register(app: &App, email: EmailAddress, person: Person) -> Result<User> {
    registration::admit(app, &email)?;
    account_domain::renew(app, &email).await?;
    let name = user::name_of(person.name.as_deref(), &email);
    let profile = Profile::new(email, name, Role::Customer);
    let transaction = app.database.transaction(async move |work: &mut Work| {
        let now = work.now();
        let connection = work.connection().await?;
        let registered = registration::register(connection, profile, None, now).await?;
        identities::insert(work, registered.user.id, &person).await?;
        work.audit(registered.record().with("issuer", person.issuer.as_str()));
        Ok(registered.user)
    });
    let user = transaction.await?;
    tracing::info!(user = %user.id, "a user registered with a provider");
    Ok(user)
}
