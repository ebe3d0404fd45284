//! The decision of a person about an authorization request.

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use mainstay_kernel::{
    app::App,
    caller::Visibility,
    database::Connection,
    error::{Error, Reason, Result},
    secret::random,
    unit_of_work::Work,
};
use secrecy::ExposeSecret as _;

use super::consent::agree;
use crate::{
    identity::{
        account::store as accounts,
        auth::limits,
        credential::model as token,
        oauth::{
            model::{CODE_LIFE, Code, Refusal, Request},
            store,
        },
        oauth_client::{model::OauthClient, store as clients},
        session::{model::Session, ops as session},
        user::{model::Role, store as users},
    },
    proto::identity::v1::Reason as IdentityReason,
};

/// What a person decided on the page for the consent, with the token of the page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decision<'d> {
    pub(crate) allows: bool,
    pub(crate) csrf: &'d str,
}

/// The person who is asked, and what an application would reach.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) email: String,
    /// The name of the account of the session; `None` for a person without an account, and for the staff.
    pub(crate) account: Option<String>,
    pub(crate) is_staff: bool,
}

/// What follows from an authorization request.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The application gets a code.
    Code(String),
    /// The application gets a refusal.
    Refused(Refusal),
    /// The person must sign in first.
    SignIn,
    /// The person must add a second factor first.
    SecondFactor,
    /// The person is asked. The token of the page is part of the answer.
    Ask { person: Box<Asked>, csrf: String },
    /// The form is not that of a page for this request and this session.
    Foreign,
}

/// Decides about the request of a client, which came in a query, from a browser with the refresh token of a session.
///
/// # Errors
/// `RATE_LIMIT_EXCEEDED`, `UNAVAILABLE`.
pub(crate) async fn authorize(
    app: &App,
    client: &OauthClient,
    (request, query): (&Request, &str),
    refresh_token: Option<&str>,
    decision: Option<Decision<'_>>,
) -> Result<Outcome> {
    let needs = |refusal, otherwise| Ok(if request.is_silent { Outcome::Refused(refusal) } else { otherwise });
    let session = match visitor(app, refresh_token).await? {
        Ok(session) => session,
        Err(Absent::SignIn) => return needs(Refusal::LoginRequired, Outcome::SignIn),
        Err(Absent::SecondFactor) => return needs(Refusal::LoginRequired, Outcome::SecondFactor),
    };
    if request.signed_in_since.is_some_and(|since| session.authenticated_at < since) {
        return needs(Refusal::LoginRequired, Outcome::SignIn);
    }
    let csrf = csrf(app, &session, query);
    if let Some(Decision { allows, csrf: sent }) = decision {
        if hmac::verify(&key(app), &message(&session, query), &HEXLOWER.decode(sent.as_bytes()).unwrap_or_default())
            .is_err()
        {
            return Ok(Outcome::Foreign);
        }
        if !allows {
            return Ok(Outcome::Refused(Refusal::AccessDenied));
        }
        return issue(app, client, request, &session, true).await;
    }
    let (id, user) = (client.id, session.user);
    if !client.is_first_party {
        let agreed = app.database.autocommit(async move |connection| store::find_consent(connection, user, id).await);
        let agreed = agreed.await?;
        let is_covered = !agreed.is_empty() && request.scopes.iter().all(|scope| agreed.contains(scope));
        if request.asks_consent || !is_covered {
            if request.is_silent {
                return Ok(Outcome::Refused(Refusal::ConsentRequired));
            }
            return Ok(Outcome::Ask { person: Box::new(asked(app, &session).await?), csrf });
        }
    }
    issue(app, client, request, &session, false).await
}

/// Returns whom a page asks, and for which account.
async fn asked(app: &App, session: &Session) -> Result<Asked> {
    let (user, account) = (session.user, session.account.map(|own| own.account));
    let read = app.database.read(async move |connection: &Connection| {
        let user = users::get(connection, Visibility::All, user).await?;
        let account = match account {
            Some(id) => Some(accounts::get(connection, Visibility::All, id).await?.name),
            None => None,
        };
        Ok(Asked { email: user.email.as_str().to_owned(), account, is_staff: user.role != Role::Customer })
    });
    read.await
}

/// Why a browser has no session that can decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    /// The person must sign in.
    SignIn,
    /// The person must add a second factor.
    SecondFactor,
}

/// Returns the session of a browser with a refresh token.
///
/// # Errors
/// `UNAVAILABLE` if Postgres is unreachable.
pub(super) async fn visitor(app: &App, refresh_token: Option<&str>) -> Result<std::result::Result<Session, Absent>> {
    let Some(refresh_token) = refresh_token else { return Ok(Err(Absent::SignIn)) };
    match session::of_token(app, refresh_token).await {
        Ok(session) => Ok(Ok(session)),
        Err(error) if error.reason() == Reason::SecondFactorRequired => Ok(Err(Absent::SecondFactor)),
        Err(error)
            if [Reason::SessionRevoked, Reason::InvalidToken, Reason::ReauthenticationRequired]
                .iter()
                .any(|reason| error.reason() == *reason) =>
        {
            Ok(Err(Absent::SignIn))
        }
        // The account has begun to require its provider since the sign-in.
        Err(error) if error.reason() == IdentityReason::ProviderRequired => Ok(Err(Absent::SignIn)),
        Err(error) => Err(error),
    }
}

fn key(app: &App) -> hmac::Key {
    app.secret.mac("oauth consents v1")
}

fn message(session: &Session, query: &str) -> Vec<u8> {
    [session.id.0.as_bytes(), query.as_bytes()].concat()
}

/// Returns the token of the page for a request: a page of another site can't make it, nor one for another request.
fn csrf(app: &App, session: &Session, query: &str) -> String {
    HEXLOWER.encode(hmac::sign(&key(app), &message(session, query)).as_ref())
}

/// Stores the consent, if the person has just given it, and a code.
async fn issue(
    app: &App,
    client: &OauthClient,
    request: &Request,
    session: &Session,
    is_new_consent: bool,
) -> Result<Outcome> {
    limits::oauth_code(app, session.user).await?;
    let (now, user, id) = (app.clock.now(), session.user, client.id);
    let code = token::write_authorization_code(&random());
    let hash = token::hash(code.expose_secret());
    let row = Code {
        client: id,
        user,
        session: session.id,
        member: session.account.map(|own| own.member),
        redirect_uri: request.back.uri.clone(),
        scopes: request.scopes.clone(),
        nonce: request.nonce.clone(),
        challenge: request.challenge,
        expires_at: now + CODE_LIFE,
        grant: None,
    };
    let account = session.account.map(|own| own.account);
    let store = app.database.transaction(async move |work: &mut Work| {
        // The client is locked first, as by its deletion, which also removes the consent.
        let keep = async move |connection: &Connection| clients::keep(connection, id).await;
        if !work.read(keep).await? {
            return Err(Error::not_found("client"));
        }
        if is_new_consent {
            agree(work, id, (user, account), &row.scopes).await?;
        }
        let insert = async move |connection: &Connection| store::insert_code(connection, row, hash).await;
        work.write(insert).await
    });
    store.await?;
    Ok(Outcome::Code(code.expose_secret().to_owned()))
}
