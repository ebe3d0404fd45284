//! The pages between an application and its code.

use axum::{
    body::Bytes,
    extract::{RawQuery, State, rejection::BytesRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use mainstay_kernel::{
    app::App,
    contract::policy::DeclaredScope,
    error::{Error, Reason, Result},
};
use minijinja::{Value, context};

use super::form;
use crate::{
    identity::{
        auth::browser::{enrolment_before, leave, session_token, sign_in_before},
        oauth::{
            model::{Parameters, Refusal, Request, Return},
            ops::{Decision, Outcome, authorize, issuer},
        },
        oauth_client::{
            model::{GrantType, IDENTITY_SCOPES, OauthClient},
            ops as client,
        },
    },
    mail::respond,
};

const PAGE: &str = "/session/authorize";

/// `GET /oauth2/authorize`.
pub(super) async fn begin(State(app): State<App>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    started(&app, &headers, query.unwrap_or_default().as_bytes()).await
}

/// `POST /oauth2/authorize`.
pub(super) async fn begin_by_form(
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    match body {
        Ok(body) => started(&app, &headers, &body).await,
        Err(_) => problem(&app, &headers, StatusCode::PAYLOAD_TOO_LARGE, "client"),
    }
}

async fn started(app: &App, headers: &HeaderMap, query: &[u8]) -> Response {
    let Some(issuer) = issuer(app) else { return StatusCode::NOT_FOUND.into_response() };
    let Some(parameters) = Parameters::parse(query) else { return unknown(app, headers) };
    match checked(app, &parameters).await {
        Ok(Ok(_)) => match parameters.begun(app.clock.now()) {
            Some(query) => leave(app, headers, &format!("{PAGE}?{query}")),
            None => unknown(app, headers),
        },
        Ok(Err(Some((back, refusal)))) => found(&refused(&back, issuer, refusal)),
        Ok(Err(None)) => unknown(app, headers),
        Err(error) => failed(app, headers, &error),
    }
}

type Checked = std::result::Result<(OauthClient, Request), Option<(Return, Refusal)>>;

/// Checks the client, its address and the other parameters.
async fn checked(app: &App, parameters: &Parameters) -> Result<Checked> {
    let Some(id) = parameters.client() else { return Ok(Err(None)) };
    let Some(client) = client::find(app, id).await? else { return Ok(Err(None)) };
    Ok(Request::read(parameters, &client, app.clock.now()).map(|request| (client, request)))
}

/// `GET /session/authorize`.
pub(super) async fn show(State(app): State<App>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    decided(&app, &headers, &query, None).await
}

/// `POST /session/authorize`.
pub(super) async fn decide(
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let parameters = form(body);
    let field = |name| parameters.as_ref().and_then(|parameters: &Parameters| parameters.get(name));
    let (Some(query), Some(csrf)) = (field("request"), field("csrf")) else {
        return problem(&app, &headers, StatusCode::BAD_REQUEST, "form");
    };
    let decision = Decision { allows: field("decision") == Some("allow"), csrf };
    decided(&app, &headers, query, Some(decision)).await
}

async fn decided(app: &App, headers: &HeaderMap, query: &str, decision: Option<Decision<'_>>) -> Response {
    let Some(issuer) = issuer(app) else { return StatusCode::NOT_FOUND.into_response() };
    let Some(parameters) = Parameters::parse(query.as_bytes()) else { return unknown(app, headers) };
    let (client, request) = match checked(app, &parameters).await {
        Ok(Ok(checked)) => checked,
        Ok(Err(Some((back, refusal)))) => return leave(app, headers, &refused(&back, issuer, refusal)),
        Ok(Err(None)) => return unknown(app, headers),
        Err(error) => return failed(app, headers, &error),
    };
    let token = session_token(app, headers);
    let is_form = decision.is_some();
    let url = match authorize(app, &client, (&request, query), token, decision).await {
        Ok(Outcome::Code(code)) => request.back.url(issuer, ("code", &code)),
        Ok(Outcome::Refused(refusal)) => refused(&request.back, issuer, refusal),
        Ok(Outcome::SignIn) => return found(&sign_in_before(&format!("{PAGE}?{query}"))),
        Ok(Outcome::SecondFactor) => return needs_second_factor(app, headers, &format!("{PAGE}?{query}")),
        Ok(Outcome::Foreign) => return problem(app, headers, StatusCode::FORBIDDEN, "form"),
        Ok(Outcome::Ask { person, csrf }) => {
            let values = context! {
                page => "consent",
                client => client.name,
                email => person.email,
                account => person.account,
                is_staff => person.is_staff,
                host => request.back.host(),
                is_lasting => client.may_use(GrantType::RefreshToken),
                request => query,
                csrf,
                ..permissions(app, &request.scopes)
            };
            // The form must have the `Origin` of this page.
            return respond(app, headers, "authorize.html", (StatusCode::OK, "same-origin"), values);
        }
        // The client was deleted meanwhile.
        Err(error) if error.reason() == Reason::NotFound => return unknown(app, headers),
        Err(error) => return failed(app, headers, &error),
    };
    // Chromium applies `form-action` to the redirects of a form, and the application may redirect further.
    if is_form { leave(app, headers, &url) } else { found(&url) }
}

/// Returns what a page says about scopes: the names of those of OpenID Connect, and the titles of those of the contract.
pub(super) fn permissions(app: &App, scopes: &[String]) -> Value {
    let (identity, of_contract): (Vec<_>, Vec<_>) =
        scopes.iter().map(String::as_str).partition(|name| IDENTITY_SCOPES.contains(name));
    let declared = app.contract.policies.scopes().filter(|scope| of_contract.contains(&scope.name.as_str()));
    let title = |scope: &DeclaredScope| context! { en => scope.title.en, de => scope.title.de };
    context! { identity, scopes => declared.map(title).collect::<Vec<_>>() }
}

fn refused(back: &Return, issuer: &str, refusal: Refusal) -> String {
    back.url(issuer, ("error", refusal.code()))
}

pub(super) fn found(url: &str) -> Response {
    let Ok(location) = HeaderValue::try_from(url) else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let headers = [
        (header::LOCATION, location),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// Shows that the client or its address is unknown. Nothing is sent to the address.
fn unknown(app: &App, headers: &HeaderMap) -> Response {
    problem(app, headers, StatusCode::BAD_REQUEST, "client")
}

pub(super) fn problem(app: &App, headers: &HeaderMap, status: StatusCode, problem: &str) -> Response {
    respond(app, headers, "authorize.html", (status, "no-referrer"), context! { page => "problem", problem })
}

/// Shows that the person must first add or prove a second factor, with a link to the console, which leads back to a path.
pub(super) fn needs_second_factor(app: &App, headers: &HeaderMap, path: &str) -> Response {
    let values = context! { page => "problem", problem => "second_factor", enrolment => enrolment_before(app, path) };
    respond(app, headers, "authorize.html", (StatusCode::FORBIDDEN, "no-referrer"), values)
}

pub(super) fn failed(app: &App, headers: &HeaderMap, error: &Error) -> Response {
    if error.reason() == Reason::RateLimitExceeded {
        return problem(app, headers, StatusCode::TOO_MANY_REQUESTS, "often");
    }
    tracing::warn!(error = error.detail(), "an authorization or a sign-out could not be handled");
    problem(app, headers, StatusCode::SERVICE_UNAVAILABLE, "other")
}
