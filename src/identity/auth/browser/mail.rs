//! Sign-in by mail, by a page of this origin or by the page of the link. A cookie binds the mail to the browser.

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{HeaderMap, header},
    response::{IntoResponse as _, Response},
};
use mainstay_kernel::{
    app::App,
    caller::ClientAddress,
    error::{Error, Reason, Result},
    id::AccountId,
};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::json;
use url::form_urlencoded;
use uuid::Uuid;

use super::{
    cookie, device_token,
    forms::{Place, advance},
    in_headers, is_secure, is_tls, origin_of, proved, read,
    redirect::found,
    too_large,
    visit::{Visit, answer},
};
use crate::{
    identity::{
        mail_login::{model::Answer, ops},
        provider::model::with_parameter,
        user::model::EmailAddress,
    },
    mail::ops::Links,
    proto::identity::v1::Reason as IdentityReason,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    email: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Typed {
    code: String,
    account_id: Option<Uuid>,
}

/// `POST /session/mail`: sends the mail. The response is the same if no user has the address.
pub(super) async fn begin(Visit { app, headers, from, body, .. }: Visit) -> Response {
    let begin = async {
        let Start { email } = read(&body, "The body must be JSON with email.")?;
        ops::begin(&app, EmailAddress::parse_known(&email)?, from).await
    };
    let render = |begun: ops::Begun| {
        let life = begun.life.to_std().unwrap_or_default();
        let cookie = cookie::MAIL.set(&headers, is_tls(&app, &headers), begun.binding.expose_secret(), life);
        let body = Json(json!({ "data": { "expiresIn": begun.life.num_seconds() } }));
        (in_headers(cookie), [(header::CACHE_CONTROL, "no-store")], body).into_response()
    };
    answer(begin, render).await
}

/// `POST /session/mail/code`: signs in with the code.
pub(super) async fn sign_in(Visit { app, headers, device, from, body }: Visit) -> Response {
    let is_tls = is_tls(&app, &headers);
    let login = async {
        let Typed { code, account_id } = read(&body, "The body must be JSON with code.")?;
        let binding = cookie::MAIL.read(&headers, is_tls).ok_or(Reason::InvalidToken)?;
        let token = device_token(&headers, is_tls);
        ops::login(&app, binding, &Answer::code(&code)?, device, token, account_id.map(AccountId), from).await
    };
    let render = |outcome| {
        let used = in_headers(cookie::MAIL.clear(&headers, is_tls));
        (used, proved(&app, &headers, outcome)).into_response()
    };
    answer(login, render).await
}

/// `POST /session/mail/link`: the form of the page of the link. It leads to the page that waits for the sign-in, or back to that page with the failure. The
/// form has no `Origin`, so that the configuration says whether the browser uses TLS, as for every link in a mail. A page of
/// another site gains nothing by sending it: the cookie is strict, and the token must be that of its mail.
pub(super) async fn follow(
    State(app): State<App>,
    address: Option<Extension<ClientAddress>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let (device, from) = origin_of(address, &headers);
    let is_tls = is_secure(&app);
    let login = async {
        let body = body.map_err(too_large)?;
        let token = form_urlencoded::parse(&body).find(|(name, _)| name == "token");
        let token = token.map(|(_, token)| token.into_owned()).ok_or(Reason::InvalidToken)?;
        let binding = cookie::MAIL.read(&headers, is_tls).ok_or(Reason::Unauthenticated)?;
        ops::login(&app, binding, &Answer::Token(token), device, device_token(&headers, is_tls), None, from).await
    };
    match login.await {
        Ok(outcome) => {
            let place = Place::kept(&app, &headers, is_tls);
            advance(&app, &headers, is_tls, &place, outcome, cookie::MAIL.clear(&headers, is_tls))
        }
        Err(error) => found(&with_parameter(Links::SIGN_IN, Links::FAILURE, failure(&error))),
    }
}

/// Returns the name of a failure for the page of the link.
fn failure(error: &Error) -> &'static str {
    match error.reason() {
        // Another browser asked for the mail.
        reason if reason == Reason::Unauthenticated => "browser",
        reason if reason == IdentityReason::MailSignInDisabled => "other",
        reason if reason.facts().http.is_server_error() => {
            tracing::warn!(error = error.detail(), "a sign-in by mail failed");
            "other"
        }
        _ => "link",
    }
}
