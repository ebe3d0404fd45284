//! The pages on which an application has a person signed out (OpenID Connect RP-Initiated Logout 1.0).

use axum::{
    body::Bytes,
    extract::{RawQuery, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use mainstay_kernel::{app::App, error::Result, module::Modules};
use minijinja::{Value, context};

use super::{
    authorize::{failed, found, problem},
    form,
};
use crate::{
    identity::{
        auth::browser::{leave, removal, session_token},
        oauth::{
            model::{Logout, Parameters},
            ops::{Decision, SignOut, issuer, sign_out},
        },
    },
    mail::respond,
};

pub(super) const PAGE: &str = "/session/logout";

/// `GET /oauth2/logout`.
pub(super) async fn begin(State(app): State<App>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    started(&app, &headers, query.unwrap_or_default().as_bytes())
}

/// `POST /oauth2/logout`.
pub(super) async fn begin_by_form(
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    match body {
        Ok(body) => started(&app, &headers, &body),
        Err(_) => problem(&app, &headers, StatusCode::PAYLOAD_TOO_LARGE, "logout"),
    }
}

/// Leads to the page with the question, to which the browser sends the cookie.
fn started(app: &App, headers: &HeaderMap, query: &[u8]) -> Response {
    if issuer(app).is_none() {
        return StatusCode::NOT_FOUND.into_response();
    }
    match Parameters::parse(query).and_then(|parameters| Logout::query(&parameters)) {
        Some(query) => leave(app, headers, &format!("{PAGE}?{query}")),
        None => problem(app, headers, StatusCode::BAD_REQUEST, "logout"),
    }
}

/// `GET /session/logout`.
pub(super) async fn show(State(app): State<App>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    ended(&app, &headers, &query.unwrap_or_default(), None).await
}

/// `POST /session/logout`.
pub(super) async fn decide(
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let parameters = form(body);
    let field = |name| parameters.as_ref().and_then(|parameters: &Parameters| parameters.get(name));
    let Some(csrf) = field("csrf") else { return problem(&app, &headers, StatusCode::BAD_REQUEST, "form") };
    let decision = Decision { allows: field("decision") == Some("allow"), csrf };
    // The request of a person who came without an application is empty.
    ended(&app, &headers, field("request").unwrap_or_default(), Some(decision)).await
}

async fn ended(app: &App, headers: &HeaderMap, query: &str, decision: Option<Decision<'_>>) -> Response {
    let Some(issuer) = issuer(app) else { return StatusCode::NOT_FOUND.into_response() };
    let Some(parameters) = Parameters::parse(query.as_bytes()) else {
        return problem(app, headers, StatusCode::BAD_REQUEST, "logout");
    };
    let is_form = decision.is_some();
    let token = session_token(app, headers);
    match sign_out(app, issuer, (&parameters, query), token, decision).await {
        Ok(SignOut::Ended(url)) => {
            let page = match url {
                // Chromium applies `form-action` to the redirects of a form.
                Some(url) if is_form => leave(app, headers, &url),
                Some(url) => found(&url),
                None => shown(app, headers, context! { page => "signed_out" }),
            };
            if is_form { (removal(app, headers), page).into_response() } else { page }
        }
        Ok(SignOut::Ask { client, email, csrf }) => {
            let values = context! { page => "logout", client, email, csrf, request => query };
            // The form must have the `Origin` of this page.
            respond(app, headers, "authorize.html", (StatusCode::OK, "same-origin"), values)
        }
        Ok(SignOut::Stays) => shown(app, headers, context! { page => "signed_in" }),
        Ok(SignOut::Wrong) => problem(app, headers, StatusCode::BAD_REQUEST, "logout"),
        Ok(SignOut::Foreign) => problem(app, headers, StatusCode::FORBIDDEN, "form"),
        Err(error) => failed(app, headers, &error),
    }
}

fn shown(app: &App, headers: &HeaderMap, values: Value) -> Response {
    let console = Modules::of(app).has("console").then_some("/console/");
    respond(app, headers, "authorize.html", (StatusCode::OK, "no-referrer"), context! { console, ..values })
}
