//! Sign-in with a passkey, alone or as the second factor, by a page of this origin.

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use mainstay_kernel::{
    app::App,
    caller::ClientAddress,
    error::{Reason, Result},
    id::AccountId,
};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::{challenge, cookie, device_token, in_headers, is_tls, origin_of, read, refusal, signed_in, too_large};
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
pub(super) async fn second_factor_options(
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let options = async {
        let body = body.map_err(too_large)?;
        let Pending { challenge_token } = match &*body {
            [] => Pending::default(),
            body => read(body, "The body must be empty, or JSON with challengeToken.")?,
        };
        ops::challenge_options(&app, &challenge(&app, &headers, challenge_token)?).await
    };
    match options.await {
        Ok(ChallengeOptions { passkey, remembered_for }) => {
            // Each is null if there is none.
            let data = json!({ "options": passkey, "rememberSeconds": remembered_for.map(|life| life.num_seconds()) });
            ([(header::CACHE_CONTROL, "no-store")], Json(json!({ "data": data }))).into_response()
        }
        Err(error) => refusal(error),
    }
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
pub(super) async fn sign_in(
    State(app): State<App>,
    address: Option<Extension<ClientAddress>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let (device, from) = origin_of(address, &headers);
    let is_tls = is_tls(&app, &headers);
    let login = async {
        let Proof { credential, account_id } =
            read(&body.map_err(too_large)?, "The body must be JSON with credential.")?;
        let token = cookie::PASSKEY.read(&headers, is_tls).ok_or(Reason::InvalidToken)?;
        let (proof, account) = (Assertion::parse(&credential, "credential")?, account_id.map(AccountId));
        ops::login(&app, token, &proof, device, device_token(&headers, is_tls), account, from).await
    };
    match login.await {
        Ok((pair, device)) => {
            let used = in_headers(cookie::PASSKEY.clear(&headers, is_tls));
            (used, signed_in(&app, &headers, &pair, &device)).into_response()
        }
        Err(error) => refusal(error),
    }
}
