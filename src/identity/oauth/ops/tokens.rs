//! The tokens of applications.

use chrono::{DateTime, TimeDelta, Utc};
use mainstay_kernel::{
    app::App,
    caller::{Caller, Visibility},
    contract::policy::Scope,
    database::Connection,
    error::{Error, Reason, Result},
    id::{SessionId, UserId},
    unit_of_work::Work,
};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::issuer;
use crate::{
    identity::{
        credential::{
            model::{self as token, Fingerprint},
            ops as credential,
        },
        oauth::{
            model::{
                Parameters,
                device::{Agreement, Poll},
            },
            store,
        },
        oauth_client::{
            id::OauthClientId,
            model::{GrantType, IDENTITY_SCOPES, OauthClient},
            ops as oauth_client,
        },
        revocation::ops as revocation,
        session::{
            model::{Device, Grant, Session},
            ops as session,
        },
        tokens::{Pair, Tokens},
        user::{model::User, store as users},
    },
    proto::identity::v1::Reason as IdentityReason,
};

/// The tokens that an application gets.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) access: SecretString,
    pub(crate) expires_in: TimeDelta,
    pub(crate) refresh: Option<SecretString>,
    pub(crate) id_token: Option<SecretString>,
    /// The scopes of the access token, separated by spaces.
    pub(crate) scope: String,
}

/// Why an application gets none.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The code or the refresh token is wrong, of another client, expired, or was used before.
    Grant,
    /// A parameter is missing.
    Request,
    /// The client may not ask for a scope.
    Scope,
    /// The decision about the device is open.
    Pending,
    /// Likewise, and the device asks too fast.
    TooFast,
    /// The person has denied the device the access.
    Denied,
    /// The codes of the device have expired.
    Expired,
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let ended = [
            Reason::InvalidToken,
            Reason::SessionRevoked,
            Reason::ReauthenticationRequired,
            Reason::SecondFactorRequired,
        ];
        // The person must sign in with the provider of the account before the application gets tokens again.
        let needs_provider = error.reason() == IdentityReason::ProviderRequired;
        let is_over = needs_provider || ended.iter().any(|reason| error.reason() == *reason);
        if is_over { Self::Grant } else { Self::Other(error) }
    }
}

/// Exchanges a code for tokens, once. A second use ends the tokens of the first (RFC 6749, 4.1.2): either may be a thief's.
pub(crate) async fn exchange(
    app: &App,
    client: &OauthClient,
    parameters: &Parameters,
    address: String,
) -> Result<Issued, Failure> {
    let hash = token::hash(parameters.get("code").ok_or(Failure::Request)?);
    let code = app.database.autocommit(async move |connection| store::find_code(connection, hash).await).await?;
    let code = code.filter(|code| code.client == client.id).ok_or(Failure::Grant)?;
    if let Some(first) = code.grant {
        return Err(reused(app, &code.user, first).await);
    }
    let is_sender = code.is_of(parameters.get("redirect_uri"), parameters.get("code_verifier"));
    if !is_sender || app.clock.now() >= code.expires_at {
        return Err(Failure::Grant);
    }
    let Some(begun) = begin(app, client, (Source::Code, hash), code.agreement(), address).await? else {
        let code = app.database.autocommit(async move |connection| store::find_code(connection, hash).await).await?;
        return Err(match code.and_then(|code| Some((code.user, code.grant?))) {
            Some((user, first)) => reused(app, &user, first).await,
            None => Failure::Grant,
        });
    };
    let pair = session::issue_grant(app, &begun).await?;
    issued(app, client, pair, &begun, code.nonce.as_deref())
}

/// What a client exchanges.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// An authorization code.
    Code,
    /// The code of a device.
    Device,
}

/// Begins the session of a client by a code, which is given by its hash; `None` if the code was used before.
async fn begin(
    app: &App,
    client: &OauthClient,
    (source, hash): (Source, [u8; 32]),
    agreement: Agreement,
    address: String,
) -> Result<Option<Session>, Failure> {
    let id = SessionId::generate(app.clock.now());
    let grant = Grant { client: client.id, scopes: client.allowed(agreement.scopes.iter().map(String::as_str)) };
    // The user sees the name of the application where a sign-in has the browser.
    let device = Device::new(&client.name, address);
    let begun = session::of_code(app, (agreement.user, agreement.session), id, device, grant).await?;
    if begun.account.map(|own| own.member) != agreement.member {
        // Another tab has switched the account meanwhile, which the person did not see on the page.
        return Err(Failure::Grant);
    }
    let new = begun.clone();
    let store = app.database.transaction(async move |work: &mut Work| {
        let use_up = async move |connection: &Connection| match source {
            Source::Code => store::use_code(connection, hash, id).await,
            Source::Device => store::device::use_up(connection, hash, id).await,
        };
        let is_first = work.write(use_up).await?;
        if is_first {
            session::begin_grant(work, &new).await?;
        }
        Ok(is_first)
    });
    let is_first = store.await?;
    Ok(Some(begun).filter(|_| is_first))
}

/// Exchanges the code of a device for tokens, once, if a person has allowed it (RFC 8628, 3.4). A second use ends the tokens of
/// the first, as for an authorization code.
pub(crate) async fn exchange_device(
    app: &App,
    client: &OauthClient,
    parameters: &Parameters,
    address: String,
) -> Result<Issued, Failure> {
    let hash = token::hash(parameters.get("device_code").ok_or(Failure::Request)?);
    let agreement = match poll_device(app, client.id, hash).await?.ok_or(Failure::Grant)? {
        Poll::Expired => return Err(Failure::Expired),
        Poll::Used(user, first) => return Err(reused(app, &user, first).await),
        Poll::Denied => return Err(Failure::Denied),
        Poll::Pending => return Err(Failure::Pending),
        Poll::TooFast => return Err(Failure::TooFast),
        Poll::Allowed(agreement) => agreement,
    };
    let Some(begun) = begin(app, client, (Source::Device, hash), agreement, address).await? else {
        // A concurrent request was faster.
        return Err(match poll_device(app, client.id, hash).await? {
            Some(Poll::Used(user, first)) => reused(app, &user, first).await,
            _ => Failure::Grant,
        });
    };
    let pair = session::issue_grant(app, &begun).await?;
    issued(app, client, pair, &begun, None)
}

/// Returns what follows from a request of a device for tokens; `None` if the code is unknown, or of another client.
async fn poll_device(app: &App, id: OauthClientId, hash: [u8; 32]) -> Result<Option<Poll>> {
    let poll = app.database.transaction(async move |work: &mut Work| {
        let now = work.now();
        let lock = async move |connection: &Connection| store::device::lock(connection, hash).await;
        let found = work.read(lock).await?.filter(|request| request.client == id);
        let Some(request) = found else { return Ok(None) };
        let poll = request.poll(now);
        if matches!(poll, Poll::Pending | Poll::TooFast) {
            let next = request.polled(&poll, now);
            let put = async move |connection: &Connection| store::device::put_poll(connection, hash, &next).await;
            work.write(put).await?;
        }
        Ok(Some(poll))
    });
    poll.await
}

async fn reused(app: &App, user: &UserId, first: SessionId) -> Failure {
    tracing::warn!(session = %first, %user, "a code was used twice; the session of its first use was ended");
    session::leave_session(app, *user, first).await.map_or_else(Failure::from, |()| Failure::Grant)
}

/// Exchanges a refresh token for new tokens. A second use ends the session.
pub(crate) async fn refresh(app: &App, client: &OauthClient, parameters: &Parameters) -> Result<Issued, Failure> {
    let token = parameters.get("refresh_token").ok_or(Failure::Request)?;
    let (pair, session) = session::refresh_grant(app, token, client).await?;
    if pair.needs_second_factor {
        return Err(Failure::Grant);
    }
    issued(app, client, pair, &session, None)
}

fn issued(
    app: &App,
    client: &OauthClient,
    pair: Pair,
    session: &Session,
    nonce: Option<&str>,
) -> Result<Issued, Failure> {
    let granted = session.grant.iter().flat_map(|grant| &grant.scopes).map(String::as_str);
    let access = app.part::<Tokens>().verify(pair.access.expose_secret()).map_err(Error::from)?;
    let has = |name: &&str| {
        IDENTITY_SCOPES.contains(name) || access.caller.scopes().iter().any(|scope| scope.as_str() == *name)
    };
    let scopes: Vec<_> = granted.filter(has).collect();
    let id_token = match issuer(app).filter(|_| scopes.contains(&"openid")) {
        Some(issuer) => app.part::<Tokens>().identify(issuer, session, nonce)?,
        None => None,
    };
    let Pair { access, expires_in, refresh, .. } = pair;
    let refresh = Some(refresh).filter(|_| client.may_use(GrantType::RefreshToken));
    Ok(Issued { access, expires_in, refresh, id_token, scope: scopes.join(" ") })
}

/// Issues an access token for a client itself, which has proved a secret (RFC 6749, 4.4).
pub(crate) async fn issue_to_client(
    app: &App,
    client: &OauthClient,
    secret: Fingerprint,
    parameters: &Parameters,
) -> Result<Issued, Failure> {
    let scopes = client.own_scopes(parameters.get("scope")).ok_or(Failure::Scope)?;
    let access = oauth_client::issue(app, client, secret, &scopes).await?;
    let expires_in = app.part::<Tokens>().life();
    Ok(Issued { access, expires_in, refresh: None, id_token: None, scope: scopes.join(" ") })
}

/// Ends the session of an access or refresh token of a client (RFC 7009), or the token of the client itself. A token of another
/// client, or an unknown one, has no effect.
///
/// # Errors
/// `UNAVAILABLE` if Postgres is unreachable.
pub(crate) async fn end(app: &App, client: &OauthClient, token: &str) -> Result<()> {
    let tokens = app.part::<Tokens>();
    let claim = tokens.read_refresh(token).map(|claim| (claim.user, claim.session));
    let access = if claim.is_none() { tokens.verify(token).ok() } else { None };
    if let Some(access) = access.as_ref().filter(|access| access.secret.is_some()) {
        let is_own = access.caller.principal() == client.id.0;
        return if is_own { revocation::end_session(app, access.claims.session).await } else { Ok(()) };
    }
    let Some((user, id)) = claim.or_else(|| access.map(|access| (access.claims.user, access.claims.session))) else {
        return Ok(());
    };
    let session = session::of_access(app, user, id).await?;
    if session.is_some_and(|session| session.client() == Some(client.id)) {
        session::leave_session(app, user, id).await?;
    }
    Ok(())
}

/// What an access token of an application is worth now (RFC 7662).
#[derive(Debug)]
pub(crate) struct Inspected {
    /// The user, or the client itself.
    pub(crate) subject: Uuid,
    pub(crate) scope: String,
    pub(crate) expires_at: DateTime<Utc>,
}

/// Returns what an access token of a client is worth now; `None` for any other token.
///
/// # Errors
/// `UNAVAILABLE` if Postgres is unreachable.
pub(crate) async fn inspect(app: &App, client: &OauthClient, token: &str) -> Result<Option<Inspected>> {
    let caller = match credential::verify(app, token, None).await {
        Ok(caller) => caller,
        Err(error) if error.is_unavailable() => return Err(error),
        Err(_) => return Ok(None),
    };
    let (user, session, scopes) = match caller {
        Caller::User { id, session, scopes, .. } => (id, session, scopes),
        Caller::Service { id, scopes, .. } if id.0 == client.id.0 => {
            let Ok(access) = app.part::<Tokens>().verify(token) else { return Ok(None) };
            let names: Vec<_> = scopes.iter().map(Scope::as_str).collect();
            return Ok(Some(Inspected { subject: id.0, scope: names.join(" "), expires_at: access.expires_at }));
        }
        Caller::Service { .. } => return Ok(None),
    };
    let Some(session) = session::of_access(app, user, session).await? else { return Ok(None) };
    let Some(grant) = session.grant.filter(|grant| grant.client == client.id) else { return Ok(None) };
    let Ok(access) = app.part::<Tokens>().verify(token) else { return Ok(None) };
    let has = |name: &&str| IDENTITY_SCOPES.contains(name) || scopes.iter().any(|scope| scope.as_str() == *name);
    let names: Vec<_> = grant.scopes.iter().map(String::as_str).filter(has).collect();
    Ok(Some(Inspected { subject: user.0, scope: names.join(" "), expires_at: access.expires_at }))
}

/// A person as an application sees them.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) user: User,
    pub(crate) has_confirmed_email: bool,
    pub(crate) scopes: Vec<String>,
}

/// Returns the person of an access token of an application; `None` without the scope `openid`.
///
/// # Errors
/// `INVALID_TOKEN`, `TOKEN_EXPIRED`, `SESSION_REVOKED`; `UNAVAILABLE` if Postgres is unreachable.
pub(crate) async fn person(app: &App, token: &str) -> Result<Option<Person>> {
    let caller = credential::verify(app, token, None).await?;
    if caller.application().is_none() {
        return Ok(None);
    }
    let Caller::User { id, session, .. } = caller else { return Ok(None) };
    let grant = session::of_access(app, id, session).await?.and_then(|session| session.grant);
    let scopes = grant.map(|grant| grant.scopes).unwrap_or_default();
    if !scopes.iter().any(|scope| scope == "openid") {
        return Ok(None);
    }
    let read = app.database.read(async move |connection: &Connection| {
        let user = users::get(connection, Visibility::All, id).await?;
        let since = DateTime::<Utc>::UNIX_EPOCH;
        let has_confirmed_email = users::has_confirmed_email_since(connection, id, since).await?;
        Ok((user, has_confirmed_email))
    });
    let (user, has_confirmed_email) = read.await?;
    Ok(Some(Person { user, has_confirmed_email, scopes }))
}
