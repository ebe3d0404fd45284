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

/// The failure of an answer, and whether that was a recovery code.
type Failure<'e> = (&'e Error, bool);

/// Shows the form of a challenge, with the failure of an earlier answer.
async fn ask(app: &App, headers: &HeaderMap, place: &Place, token: &str, failure: Option<Failure<'_>>) -> Response {
    let is_recovery = failure.is_some_and(|(_, is_recovery)| is_recovery);
    let view = View { is_recovery, ..View::of("second_factor", place) };
    match ops::challenge_options(app, token).await {
        Ok(options) => {
            let days = options
                .remembered_for
                .map(|life| life.num_seconds().saturating_add(SECONDS_PER_DAY - 1) / SECONDS_PER_DAY);
            let view = View { remember_days: days, ..view };
            match failure {
                Some((error, _)) => refused(app, headers, view, error),
                None => view.render(app, headers),
            }
        }
        Err(error) if error.reason() == Reason::InvalidToken => expired(place),
        Err(error) => refused(app, headers, view, failure.map_or(&error, |(error, _)| error)),
    }
}

/// `POST /session/sign-in/second-factor`.
pub(super) async fn verify(Visit { app, headers, device, from, body }: Visit) -> Response {
    let form = Fields::parse(&body);
    let (place, is_tls) = (form.place(&app), is_tls(&app, &headers));
    let Some(token) = cookie::CHALLENGE.read(&headers, is_tls) else { return expired(&place) };
    let (code, recovery) = (form.get("code"), form.get("recovery"));
    let verify = async {
        let answer = Answer::Code(Code::parse(code.or(recovery).unwrap_or_default())?);
        ops::verify(&app, token, &answer, form.get("remember").is_some(), device, from).await
    };
    let used = || cookie::CHALLENGE.clear(&headers, is_tls);
    match verify.await {
        Ok((pair, device)) => advance(&app, &headers, is_tls, &place, SignedIn::Tokens(pair, device), used()),
        Err(error) if error.reason() == Reason::InvalidToken => (in_headers(used()), expired(&place)).into_response(),
        Err(error) => {
            let is_recovery = code.is_none() && recovery.is_some();
            ask(&app, &headers, &place, token, Some((&error, is_recovery))).await
        }
    }
}
