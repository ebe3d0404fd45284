//! The endpoint that a device calls, and the pages on which a person enters the code of the device (RFC 8628).

use std::net::IpAddr;

use axum::{
    Extension,
    body::Bytes,
    extract::{RawQuery, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use chrono::TimeDelta;
use mainstay_kernel::{app::App, caller::ClientAddress, error::Result};
use minijinja::{Value, context};
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{
    authorize::{failed, found, needs_second_factor, permissions, problem},
    endpoint::{Fault, answer, counted, identified},
    form,
};
use crate::{
    identity::{
        auth::browser::{leave, origin_of, session_token, sign_in_before},
        oauth::{
            model::{Parameters, device::UserCode},
            ops::{self, Absent, Asked, Begun, Entry, Visit, issuer, visit},
        },
        oauth_client::model::GrantType,
        service_key::model::network_of,
    },
    mail::respond,
};

/// The short address, which a person types or which a picture leads to.
pub(super) const SHORT: &str = "/device";
/// The page, which receives the cookie of the session.
pub(super) const PAGE: &str = "/session/device";
pub(super) const BEGIN: &str = "/oauth2/device_authorization";

/// `POST /oauth2/device_authorization`.
pub(super) async fn begin(
    State(app): State<App>,
    address: Option<Extension<ClientAddress>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let Some(issuer) = issuer(&app) else { return StatusCode::NOT_FOUND.into_response() };
    let (_, from) = origin_of(address, &headers);
    let begin = async {
        let (parameters, (client, _)) = identified(&app, &headers, body).await?;
        if !client.may_use(GrantType::DeviceCode) {
            return Err(Fault::Unauthorized);
        }
        ops::begin(&app, &client, &parameters, from).await.map_err(Fault::from)
    };
    match counted(&app, from, begin).await {
        Ok(Begun { device_code, user_code, request }) => {
            let place = format!("{issuer}{SHORT}");
            let body = json!({
                "device_code": device_code.expose_secret(),
                "user_code": user_code.to_string(),
                "verification_uri": place,
                "verification_uri_complete": format!("{place}?user_code={user_code}"),
                "expires_in": (request.expires_at - request.created_at).num_seconds(),
                "interval": request.interval.num_seconds(),
            });
            answer(StatusCode::OK, &body)
        }
        Err(fault) => fault.response(),
    }
}

/// Returns the page with a code. A form alone enters the code, so that no link uses up the guesses of a person.
fn page_of(code: &str) -> String {
    let code = UserCode::parse(code).map(|code| code.to_string()).unwrap_or_default();
    format!("{PAGE}?user_code={code}")
}

/// Returns the code of a query, in any form.
fn code_of(query: Option<&str>) -> String {
    let parameters = Parameters::parse(query.unwrap_or_default().as_bytes());
    parameters.as_ref().and_then(|parameters| parameters.get("user_code")).unwrap_or_default().to_owned()
}

/// `GET /device`. Other sites lead to it without the cookie, so that it leads to the page by itself.
pub(super) async fn enter(State(app): State<App>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    if issuer(&app).is_none() {
        return StatusCode::NOT_FOUND.into_response();
    }
    leave(&app, &headers, &page_of(&code_of(query.as_deref())))
}

/// `GET /session/device`.
pub(super) async fn show(
    State(app): State<App>,
    address: Option<Extension<ClientAddress>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    visited(&app, address, &headers, &code_of(query.as_deref()), None).await
}

/// `POST /session/device`.
pub(super) async fn decide(
    State(app): State<App>,
    address: Option<Extension<ClientAddress>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let parameters = form(body);
    let field = |name| parameters.as_ref().and_then(|parameters: &Parameters| parameters.get(name));
    let Some(csrf) = field("csrf") else { return problem(&app, &headers, StatusCode::BAD_REQUEST, "form") };
    let user_code = field("user_code").unwrap_or_default();
    let entry = Entry { user_code, csrf, decision: field("decision").map(|decision| decision == "allow") };
    visited(&app, address, &headers, user_code, Some(entry)).await
}

async fn visited(
    app: &App,
    address: Option<Extension<ClientAddress>>,
    headers: &HeaderMap,
    code: &str,
    entry: Option<Entry<'_>>,
) -> Response {
    if issuer(app).is_none() {
        return StatusCode::NOT_FOUND.into_response();
    }
    let (_, from) = origin_of(address, headers);
    let values = match visit(app, session_token(app, headers), from, entry).await {
        Ok(Visit::Absent(Absent::SignIn)) => return found(&sign_in_before(&page_of(code))),
        Ok(Visit::Absent(Absent::SecondFactor)) => return needs_second_factor(app, headers, &page_of(code)),
        Ok(Visit::Foreign) => return problem(app, headers, StatusCode::FORBIDDEN, "form"),
        Ok(Visit::Enter { csrf, is_wrong }) => {
            // Only a code is shown, and no other text of a link.
            let user_code = UserCode::parse(code).map(|code| code.to_string()).unwrap_or_default();
            context! { page => "enter", csrf, user_code, is_wrong }
        }
        Ok(Visit::Ask(asked)) => {
            let is_near =
                asked.request.address.parse::<IpAddr>().is_ok_and(|device| network_of(device) == network_of(from));
            question(app, *asked, is_near)
        }
        Ok(Visit::Done { allows }) => context! { page => "done", allows },
        Err(error) => return failed(app, headers, &error),
    };
    // The form must have the `Origin` of this page.
    respond(app, headers, "device.html", (StatusCode::OK, "same-origin"), values)
}

fn question(app: &App, Asked { client, email, user_code, request, csrf }: Asked, is_near: bool) -> Value {
    let age = (app.clock.now() - request.created_at).max(TimeDelta::zero());
    context! {
        page => "ask",
        client,
        email,
        user_code => user_code.to_string(),
        csrf,
        address => request.address,
        is_near,
        time => request.created_at.format("%H:%M UTC").to_string(),
        minutes => age.num_minutes(),
        ..permissions(app, &request.scopes)
    }
}
