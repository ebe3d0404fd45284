//! Sign-in with a passkey, alone or as the second factor, by a page of this origin.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use mainstay_kernel::{app::App, error::Reason, id::AccountId};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::{
    challenge, cookie, device_token, in_headers, is_tls, read, refusal, signed_in,
    visit::{Visit, answer},
};
use crate::identity::second_factor::{
    model::CEREMONY_LIFE,
    ops::{self, ChallengeOptions},
    relying_party::Assertion,
};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Pending {
    challenge_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Proof {
    credential: String,
    account_id: Option<Uuid>,
}

/// Renders options for the browser.
fn options_response(options: &str) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(json!({ "data": { "options": options } }))).into_response()
}

/// `POST /session/second-factor/options`: the options of a challenge.
pub(super) async fn second_factor_options(Visit { app, headers, body, .. }: Visit) -> Response {
    let options = async {
        let Pending { challenge_token } = match &*body {
            [] => Pending::default(),
            body => read(body, "The body must be empty, or JSON with challengeToken.")?,
        };
        ops::challenge_options(&app, &challenge(&app, &headers, challenge_token)?).await
    };
    let render = |ChallengeOptions { passkey, remembered_for }| {
        // Each is null if there is none.
        let data = json!({ "options": passkey, "rememberSeconds": remembered_for.map(|life| life.num_seconds()) });
        ([(header::CACHE_CONTROL, "no-store")], Json(json!({ "data": data }))).into_response()
    };
    answer(options, render).await
}

/// `POST /session/passkey/options`: begins a sign-in. The cookie binds the ceremony to the browser.
pub(super) async fn begin(State(app): State<App>, headers: HeaderMap) -> Response {
    match ops::begin_login(&app) {
        Ok(begun) => {
            let life = CEREMONY_LIFE.to_std().unwrap_or_default();
            let cookie = cookie::PASSKEY.set(&headers, is_tls(&app, &headers), begun.token.expose_secret(), life);
            (in_headers(cookie), options_response(&begun.options)).into_response()
        }
        Err(error) => refusal(error),
    }
}

/// `POST /session/passkey`: completes it.
pub(super) async fn sign_in(Visit { app, headers, device, from, body }: Visit) -> Response {
    let is_tls = is_tls(&app, &headers);
    let login = async {
        let Proof { credential, account_id } = read(&body, "The body must be JSON with credential.")?;
        let token = cookie::PASSKEY.read(&headers, is_tls).ok_or(Reason::InvalidToken)?;
        let (proof, account) = (Assertion::parse(&credential, "credential")?, account_id.map(AccountId));
        ops::login(&app, token, &proof, device, device_token(&headers, is_tls), account, from).await
    };
    let render = |(pair, device)| {
        let used = in_headers(cookie::PASSKEY.clear(&headers, is_tls));
        (used, signed_in(&app, &headers, &pair, &device)).into_response()
    };
    answer(login, render).await
}
