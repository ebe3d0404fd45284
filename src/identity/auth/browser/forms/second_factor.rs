//! The second factor.

use axum::{
    extract::{RawQuery, State},
    http::HeaderMap,
    response::{IntoResponse as _, Response},
};
use mainstay_kernel::{
    app::App,
    error::{Error, Reason},
};

use super::{Fields, Place, SignedIn, advance, code::expired, cookie, refused, view::View};
use crate::identity::{
    auth::browser::{in_headers, is_secure, is_tls, visit::Visit},
    second_factor::{
        model::Code,
        ops::{self, Answer},
    },
};

const SECONDS_PER_DAY: i64 = 86_400;

/// `GET /session/sign-in/second-factor`.
pub(super) async fn show(State(app): State<App>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let place = Fields::parse(query.unwrap_or_default().as_bytes()).place(&app);
    let Some(token) = cookie::CHALLENGE.read(&headers, is_secure(&app)) else { return expired(&place) };
    ask(&app, &headers, &place, token, None).await
}

/// Shows the form of a challenge, with the failure of an earlier answer.
async fn ask(app: &App, headers: &HeaderMap, place: &Place, token: &str, failure: Option<&Error>) -> Response {
    let view = View::of("second_factor", place);
    match ops::challenge_options(app, token).await {
        Ok(options) => {
            let days = options
                .remembered_for
                .map(|life| life.num_seconds().saturating_add(SECONDS_PER_DAY - 1) / SECONDS_PER_DAY);
            let view = View { remember_days: days, ..view };
            match failure {
                Some(error) => refused(app, headers, view, error),
                None => view.render(app, headers),
            }
        }
        Err(error) if error.reason() == Reason::InvalidToken => expired(place),
        Err(error) => refused(app, headers, view, failure.unwrap_or(&error)),
    }
}

/// `POST /session/sign-in/second-factor`.
pub(super) async fn verify(Visit { app, headers, device, from, body }: Visit) -> Response {
    let form = Fields::parse(&body);
    let (place, is_tls) = (form.place(&app), is_tls(&app, &headers));
    let Some(token) = cookie::CHALLENGE.read(&headers, is_tls) else { return expired(&place) };
    let verify = async {
        let code = form.get("code").or_else(|| form.get("recovery")).unwrap_or_default();
        let answer = Answer::Code(Code::parse(code)?);
        ops::verify(&app, token, &answer, form.get("remember").is_some(), device, from).await
    };
    let used = || cookie::CHALLENGE.clear(&headers, is_tls);
    match verify.await {
        Ok((pair, device)) => advance(&app, &headers, is_tls, &place, SignedIn::Tokens(pair, device), used()),
        Err(error) if error.reason() == Reason::InvalidToken => (in_headers(used()), expired(&place)).into_response(),
        Err(error) => ask(&app, &headers, &place, token, Some(&error)).await,
    }
}
