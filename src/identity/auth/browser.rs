//! Sign-in for pages of this origin: the refresh token is in a cookie, which no script can read.
//!
//! | request | does |
//! |---|---|
//! | `POST /session` | signs in with `{"email", "password", "accountId"?}` and sets the cookie; responds with a challenge if the user has a second factor |
//! | `POST /session/second-factor` | answers it, `{"challengeToken", "code"}` or `{"challengeToken", "passkey"}`, and sets the cookie; with `"rememberDevice"`, the next sign-ins of the device need no second factor; after a sign-in with a provider, the challenge is in a cookie |
//! | `POST /session/second-factor/options` | responds with the options for a passkey, if the user has one, and how long the device can be remembered |
//! | `POST /session/passkey/options` | begins a [sign-in with a passkey](passkey), whose ceremony is in a cookie |
//! | `POST /session/passkey` | completes it, `{"credential", "accountId"?}`, and sets the cookie |
//! | `POST /session/mail` | begins a [sign-in by mail](mail), `{"email"}`, whose binding is in a cookie |
//! | `POST /session/mail/code` | completes it, `{"code", "accountId"?}`, like `POST /session` |
//! | `POST /session/mail/link` | completes it by a form with the token of the link, and leads to the page that waits |
//! | `/session/sign-in` and below | the [pages](forms) on which people do so without a script |
//! | `POST /session/refresh` | exchanges the cookie's token for a new pair; with `{"accountId"}`, only of this account |
//! | `POST /session/account` | exchanges it for a pair of another account, `{"accountId"}` |
//! | `DELETE /session` | ends the session and clears the cookie |
//! | `GET /auth/oidc/{provider}` | begins a [sign-in with a provider](provider), which ends at `/auth/oidc/{provider}/callback`; with `fresh`, the provider authenticates the person again |
//! | `POST /session/oidc/{provider}` | begins a link of an identity to the user of the session |
//!
//! A second cookie identifies the device at the next sign-in, also after a sign-out.
//!
//! The sign-ins respond with an access token, which the page keeps in memory. Only these paths read the cookie. All other
//! requests are authenticated by the access token alone, which prevents cross-site request forgery. Requests from pages of
//! another origin, even of the same site, are rejected on these paths as well, except for the origins of `SESSION_ORIGINS`.

mod cookie;
mod forms;
mod mail;
mod origin;
mod passkey;
mod provider;
mod redirect;
mod visit;

use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{DefaultBodyLimit, Request, State, rejection::BytesRejection},
    http::{HeaderMap, HeaderName, StatusCode, header},
    middleware::Next,
    response::{AppendHeaders, IntoResponse, Response},
    routing::{MethodRouter, get, post},
};
use mainstay_kernel::{
    app::App,
    caller::ClientAddress,
    context::Context,
    error::{Error, Reason, Result},
    id::AccountId,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use uuid::Uuid;

use crate::identity::{
    auth::ops::{self, SignedIn},
    config::IdentityConfig,
    second_factor::{
        model::Code,
        ops::{self as second_factor, Answer},
        relying_party::Assertion,
    },
    session::{model::Device, ops as session},
    tokens::Pair,
    user::model::EmailAddress,
};

pub(crate) use forms::{enrolment_before, pages as form_pages, sign_in_before};
pub(crate) use redirect::leave;
use visit::{Visit, answer};

/// The maximum body size, in bytes: an address and a password with room for escapes, or the response of a passkey.
const MAX_BODY_BYTES: usize = 8192;
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);
/// The deadline of a page that calls a provider up to four times in sequence. It is later than the limit of these calls, so that
/// the page says what happened.
const PROVIDER_DEADLINE: Duration = Duration::from_secs(20);

pub(crate) fn pages() -> [(&'static str, MethodRouter<App>); 13] {
    let [sign_in, second_factor, options, passkey_options, passkey, mail, mail_code, refresh, account, link] = [
        ("/session", post(sign_in).delete(sign_out)),
        ("/session/second-factor", post(verify)),
        ("/session/second-factor/options", post(passkey::second_factor_options)),
        ("/session/passkey/options", post(passkey::begin)),
        ("/session/passkey", post(passkey::sign_in)),
        ("/session/mail", post(mail::begin)),
        ("/session/mail/code", post(mail::sign_in)),
        ("/session/refresh", post(refresh)),
        ("/session/account", post(switch_account)),
        ("/session/oidc/{provider}", post(provider::start_link)),
    ]
    .map(|(path, page)| (path, guarded(page)));
    // The form has no `Origin`: the cookie protects it.
    let mail_link = ("/session/mail/link", bounded(post(mail::follow), DEADLINE));
    // Pages of other sites lead to these: the state of a sign-in protects them.
    let start = ("/auth/oidc/{provider}", forms::readable(bounded(get(provider::start), PROVIDER_DEADLINE)));
    let finish = get(provider::finish).post(provider::finish_form);
    let finish = ("/auth/oidc/{provider}/callback", forms::readable(bounded(finish, PROVIDER_DEADLINE)));
    [
        sign_in,
        second_factor,
        options,
        passkey_options,
        passkey,
        mail,
        mail_code,
        mail_link,
        refresh,
        account,
        link,
        start,
        finish,
    ]
}

/// Wraps a page in the checks that the middleware performs for method calls.
pub(crate) fn guarded(page: MethodRouter<App>) -> MethodRouter<App> {
    origin::of_admitted_pages(bounded(page, DEADLINE))
}

pub(crate) fn bounded(page: MethodRouter<App>, deadline: Duration) -> MethodRouter<App> {
    let page: MethodRouter<App> = page.layer(DefaultBodyLimit::max(MAX_BODY_BYTES));
    page.layer(axum::middleware::from_fn(move |request: Request, next: Next| limit_time(deadline, request, next)))
}

/// Limits the duration of a request, like the middleware for method calls.
async fn limit_time(deadline: Duration, request: Request, next: Next) -> Response {
    let context = Context::current().unwrap_or_else(|| Context::new("")).with_deadline(Instant::now() + deadline);
    let work = context.scope(next.run(request));
    tokio::time::timeout(deadline, work).await.unwrap_or_else(|_| refusal(Reason::DeadlineExceeded.into()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Credentials {
    email: String,
    password: String,
    account_id: Option<Uuid>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Verification {
    challenge_token: Option<String>,
    code: Option<String>,
    passkey: Option<String>,
    #[serde(default)]
    remember_device: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Choice {
    account_id: Uuid,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Expectation {
    account_id: Option<Uuid>,
}

async fn sign_in(Visit { app, headers, device, from, body }: Visit) -> Response {
    let login = async {
        let Credentials { email, password, account_id } =
            read(&body, "The body must be JSON with email and password.")?;
        let account = account_id.map(AccountId);
        let (email, device_token) = (EmailAddress::find(&email)?, device_token(&headers, is_tls(&app, &headers)));
        ops::login(&app, ops::Attempt { email, password: password.into(), device, device_token, from, account }).await
    };
    answer(login, |outcome| proved(&app, &headers, outcome)).await
}

/// Renders a new session, or the challenge of a second factor.
fn proved(app: &App, headers: &HeaderMap, outcome: SignedIn) -> Response {
    match outcome {
        SignedIn::Tokens(pair, device) => signed_in(app, headers, &pair, &device),
        SignedIn::Challenge(token, life) => {
            let challenge = json!({ "token": token.expose_secret(), "expiresIn": life.num_seconds() });
            ([(header::CACHE_CONTROL, "no-store")], Json(json!({ "challenge": challenge }))).into_response()
        }
    }
}

async fn verify(Visit { app, headers, device, from, body }: Visit) -> Response {
    let verify = async {
        let Verification { challenge_token, code, passkey, remember_device } =
            read(&body, "The body must be JSON with challengeToken, and code or passkey.")?;
        let token = challenge(&app, &headers, challenge_token)?;
        let answer = match passkey {
            Some(passkey) => Answer::Passkey(Assertion::parse(&passkey, "passkey")?),
            None => Answer::Code(Code::parse(&code.unwrap_or_default())?),
        };
        second_factor::verify(&app, &token, &answer, remember_device, device, from).await
    };
    let render = |(pair, device)| {
        let is_tls = is_tls(&app, &headers);
        let kept = cookie::CHALLENGE.read(&headers, is_tls).is_some();
        let used = if kept { cookie::CHALLENGE.clear(&headers, is_tls) } else { Vec::new() };
        (in_headers(used), signed_in(&app, &headers, &pair, &device)).into_response()
    };
    answer(verify, render).await
}

/// Returns the challenge of a request or, after a sign-in with a provider, of the cookie.
fn challenge(app: &App, headers: &HeaderMap, token: Option<String>) -> Result<String> {
    let kept = || cookie::CHALLENGE.read(headers, is_tls(app, headers)).map(str::to_owned);
    token.or_else(kept).ok_or_else(|| Reason::InvalidToken.into())
}

/// Returns the device and the address of a request.
pub(crate) fn origin_of(address: Option<Extension<ClientAddress>>, headers: &HeaderMap) -> (Device, IpAddr) {
    let from = address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Extension(ClientAddress(address))| address);
    let user_agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    (Device::new(user_agent, from.to_string()), from)
}

/// Returns the refresh token of the session in a navigation, which has no `Origin`.
pub(crate) fn session_token<'h>(app: &App, headers: &'h HeaderMap) -> Option<&'h str> {
    cookie::SESSION.read(headers, is_secure(app))
}

/// Returns the token that the device has from an earlier sign-in, if any.
fn device_token(headers: &HeaderMap, is_tls: bool) -> Option<SecretString> {
    cookie::DEVICE.read(headers, is_tls).map(SecretString::from)
}

/// Renders a new session, with the cookie of its device.
fn signed_in(app: &App, headers: &HeaderMap, pair: &Pair, device: &SecretString) -> Response {
    let (life, is_tls) = (app.config.section::<IdentityConfig>().device_ttl(), is_tls(app, headers));
    let mut cookies = cookie::DEVICE.set(headers, is_tls, device.expose_secret(), life);
    cookies.extend(forms::Place::forget(headers, is_tls));
    (in_headers(cookies), token_response(app, headers, pair)).into_response()
}

async fn refresh(State(app): State<App>, headers: HeaderMap, body: Result<Bytes, BytesRejection>) -> Response {
    let refresh = async {
        let body = body.map_err(too_large)?;
        let expected = match &*body {
            [] => Expectation::default(),
            body => read(body, "The body must be empty, or JSON with accountId.")?,
        };
        let token = cookie::SESSION.read(&headers, is_tls(&app, &headers)).ok_or(Reason::Unauthenticated)?;
        session::refresh(&app, token, expected.account_id.map(AccountId)).await
    };
    exchanged(&app, &headers, refresh.await)
}

async fn switch_account(State(app): State<App>, headers: HeaderMap, body: Result<Bytes, BytesRejection>) -> Response {
    let switch = async {
        let Choice { account_id } = read(&body.map_err(too_large)?, "The body must be JSON with accountId.")?;
        let token = cookie::SESSION.read(&headers, is_tls(&app, &headers)).ok_or(Reason::Unauthenticated)?;
        session::switch(&app, token, AccountId(account_id)).await
    };
    exchanged(&app, &headers, switch.await)
}

/// Renders the outcome of an exchange of the cookie's token.
fn exchanged(app: &App, headers: &HeaderMap, result: Result<Pair>) -> Response {
    match result {
        Ok(pair) => token_response(app, headers, &pair),
        // The token is no longer valid. Clearing the cookie keeps the next page from trying it again.
        Err(error) if error.reason() == Reason::SessionRevoked || error.reason() == Reason::InvalidToken => {
            (removal(app, headers), refusal(error)).into_response()
        }
        Err(error) => refusal(error),
    }
}

async fn sign_out(State(app): State<App>, headers: HeaderMap) -> Response {
    let result = match cookie::SESSION.read(&headers, is_tls(&app, &headers)) {
        Some(token) => session::leave_by_token(&app, token).await,
        None => Ok(()),
    };
    match result {
        Err(error) if error.reason() != Reason::InvalidToken => refusal(error),
        _ => (removal(&app, &headers), StatusCode::NO_CONTENT).into_response(),
    }
}

fn read<T: DeserializeOwned>(body: &[u8], fault: &'static str) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| Error::with_message(Reason::MalformedRequest, fault).caused_by(error))
}

fn too_large(_: BytesRejection) -> Error {
    let message = format!("The request may be {MAX_BODY_BYTES} bytes at most.");
    Error::with_message(Reason::PayloadTooLarge, message)
}

/// Returns the headers that remove the cookie of the session.
pub(crate) fn removal(app: &App, headers: &HeaderMap) -> SetCookies {
    in_headers(cookie::SESSION.clear(headers, is_tls(app, headers)))
}

/// Returns whether the browser reaches this server by TLS: the configuration says so, or the page.
fn is_tls(app: &App, headers: &HeaderMap) -> bool {
    is_secure(app) || cookie::is_of_tls_page(headers)
}

/// Returns whether the configuration says that browsers reach this server by TLS. A navigation has no `Origin`.
fn is_secure(app: &App) -> bool {
    let config = &app.config;
    config.server.tls.is_some() || config.section::<IdentityConfig>().is_public_https
}

pub(crate) type SetCookies = AppendHeaders<Vec<(HeaderName, String)>>;

fn in_headers(cookies: Vec<String>) -> SetCookies {
    AppendHeaders(cookies.into_iter().map(|cookie| (header::SET_COOKIE, cookie)).collect())
}

/// Renders the pair: the access token for the script, the refresh token in the cookie.
fn token_response(app: &App, headers: &HeaderMap, pair: &Pair) -> Response {
    let life = app.config.section::<IdentityConfig>().refresh_ttl;
    let cookies = in_headers(cookie::SESSION.set(headers, is_tls(app, headers), pair.refresh.expose_secret(), life));
    let data = json!({
        "accessToken": pair.access.expose_secret(),
        "expiresIn": pair.expires_in.num_seconds(),
        "sessionId": pair.session.to_string(),
        "accountId": pair.account.map(|account| account.to_string()),
        "secondFactorRequired": pair.needs_second_factor,
    });
    (cookies, [(header::CACHE_CONTROL, "no-store")], Json(json!({ "data": data }))).into_response()
}

/// The middleware turns this status into the error envelope. A page finds the reason in the extensions.
pub(crate) fn refusal(error: Error) -> Response {
    let reason = error.reason();
    let mut response: Response = tonic::Status::from(error).into_http();
    response.extensions_mut().insert(reason);
    response
}
