//! The forms of a sign-in by mail: one for the address, one for the code in the mail.

use axum::{
    extract::{RawQuery, State},
    http::HeaderMap,
    response::{IntoResponse as _, Response},
};
use mainstay_kernel::{app::App, error::Reason};
use secrecy::ExposeSecret as _;

use super::{CODE, FAILURE, Fields, Place, SIGN_IN, advance, cookie, found, refused, view::View};
use crate::identity::{
    auth::browser::{device_token, in_headers, is_secure, is_tls, visit::Visit},
    mail_login::{model::Answer, ops},
    provider::model::with_parameter,
    user::model::EmailAddress,
};

/// `POST /session/sign-in/mail`: sends the mail. The response is the same if no user has the address. A cookie keeps the
/// page that follows the sign-in, because the link in the mail does not name that page.
pub(super) async fn begin(Visit { app, headers, from, body, .. }: Visit) -> Response {
    let form = Fields::parse(&body);
    let (place, is_tls) = (form.place(&app), is_tls(&app, &headers));
    let send = async { ops::begin(&app, EmailAddress::parse_known(form.email())?, from).await };
    match send.await {
        Ok(begun) => {
            let life = begun.life.to_std().unwrap_or_default();
            let mut cookies = cookie::MAIL.set(&headers, is_tls, begun.binding.expose_secret(), life);
            cookies.extend(place.keep(&headers, is_tls, life));
            (in_headers(cookies), found(&place.on(CODE))).into_response()
        }
        Err(error) => refused(&app, &headers, View { email: form.email(), ..View::of("password", &place) }, &error),
    }
}

/// `GET /session/sign-in/code`: asks for the code.
pub(super) async fn show(State(app): State<App>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let place = Fields::parse(query.unwrap_or_default().as_bytes()).place(&app);
    if cookie::MAIL.read(&headers, is_secure(&app)).is_none() {
        return expired(&place);
    }
    View::of("code", &place).render(&app, &headers)
}

/// `POST /session/sign-in/code`: signs in. A wrong code leads to the form again, and `INVALID_TOKEN` to the first page.
pub(super) async fn sign_in(Visit { app, headers, device, from, body }: Visit) -> Response {
    let form = Fields::parse(&body);
    let (place, is_tls) = (form.place(&app), is_tls(&app, &headers));
    let login = async {
        let binding = cookie::MAIL.read(&headers, is_tls).ok_or(Reason::InvalidToken)?;
        let code = Answer::code(form.get("code").unwrap_or_default())?;
        ops::login(&app, binding, &code, device, device_token(&headers, is_tls), None, from).await
    };
    let clear = || cookie::MAIL.clear(&headers, is_tls);
    match login.await {
        Ok(outcome) => advance(&app, &headers, is_tls, &place, outcome, clear()),
        Err(error) if error.reason() == Reason::InvalidToken => (in_headers(clear()), expired(&place)).into_response(),
        Err(error) => refused(&app, &headers, View::of("code", &place), &error),
    }
}

/// Redirects to the first page, with the failure: the cookie of the mail or of the challenge is missing or void.
pub(super) fn expired(place: &Place) -> Response {
    found(&with_parameter(&place.on(SIGN_IN), FAILURE, "INVALID_TOKEN"))
}
