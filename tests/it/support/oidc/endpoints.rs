//! The endpoints of the provider.

use std::{collections::HashMap, sync::MutexGuard};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use mainstay_kernel::clock::Clock;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Grant, SECRET, Script, Shared, Signature};
use crate::support::unique;

/// Returns the routes of a provider.
pub(super) fn router(shared: Shared) -> Router {
    Router::new()
        .route("/.well-known/openid-configuration", get(metadata))
        .route("/keys", get(keys_of))
        .route("/authorize", get(authorize))
        .route("/token", post(token))
        .route("/userinfo", get(userinfo))
        .route("/login/oauth/authorize", get(authorize))
        .route("/login/oauth/access_token", post(token))
        .route("/api/v3/user", get(github_user))
        .route("/api/v3/user/emails", get(github_addresses))
        .with_state(shared)
}

impl Shared {
    pub(super) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().expect("no panic")
    }

    async fn wait(&self) {
        let delay = self.script().delay;
        tokio::time::sleep(delay).await;
    }

    fn public(&self, number: usize) -> String {
        let pair = Ed25519KeyPair::from_pkcs8(&self.keys[number]).expect("a key");
        BASE64_URL_SAFE_NO_PAD.encode(pair.public_key().as_ref())
    }

    fn sign(&self, claims: &Value) -> String {
        let (signature, number) = {
            let script = self.script();
            (script.signature, script.key)
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(format!("key-{number}"));
        let by = |number: usize| EncodingKey::from_ed_der(&self.keys[number]);
        let encode = |header: &Header, key: &EncodingKey| jsonwebtoken::encode(header, claims, key).expect("a token");
        match signature {
            Signature::Right => encode(&header, &by(number)),
            Signature::OtherKey => encode(&header, &by(2)),
            Signature::HmacOfPublicKey => {
                header.alg = Algorithm::HS256;
                encode(&header, &EncodingKey::from_base64_secret(&pad(&self.public(number))).expect("a secret"))
            }
            Signature::None => {
                let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
                format!("{}.{}.", part(&json!({ "alg": "none", "kid": format!("key-{number}") })), part(claims))
            }
        }
    }
}

/// Returns base64url without padding as base64 with padding.
fn pad(text: &str) -> String {
    let text = text.replace('-', "+").replace('_', "/");
    let padding = "=".repeat((4 - text.len() % 4) % 4);
    format!("{text}{padding}")
}

fn merge(mut value: Value, changes: &Value) -> Value {
    for (name, change) in changes.as_object().expect("an object") {
        value[name] = change.clone();
    }
    value
}

async fn metadata(State(shared): State<Shared>) -> Json<Value> {
    let url = |path: &str| format!("{}{path}", shared.base);
    let right = json!({
        "issuer": shared.base,
        "authorization_endpoint": url("/authorize"),
        "token_endpoint": url("/token"),
        "jwks_uri": url("/keys"),
        "userinfo_endpoint": url("/userinfo"),
        "authorization_response_iss_parameter_supported": true,
    });
    Json(merge(right, &shared.script().metadata))
}

async fn keys_of(State(shared): State<Shared>) -> Json<Value> {
    shared.wait().await;
    let (number, is_published) = {
        let mut script = shared.script();
        script.keys_read += 1;
        (script.key, script.is_key_published)
    };
    let key = json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": format!("key-{number}"), "x": shared.public(number) });
    Json(json!({ "keys": if is_published { vec![key] } else { Vec::new() } }))
}

/// Signs the person in at once, as a provider does that has a session of the browser.
async fn authorize(State(shared): State<Shared>, Query(query): Query<HashMap<String, String>>) -> Response {
    let of = |name: &str| query.get(name).cloned().unwrap_or_default();
    // PKCE missing: such a request is refused, as RFC 9700, 2.1.1, asks.
    if of("code_challenge_method") != "S256" || of("client_id") != "mainstay" || of("response_type") != "code" {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let code = unique();
    let grant = Grant { nonce: of("nonce"), challenge: of("code_challenge"), redirect_uri: of("redirect_uri") };
    let issuer = {
        let mut script = shared.script();
        script.codes.insert(code.clone(), grant);
        script.response_issuer.clone()
    };
    let mut url: url::Url = of("redirect_uri").parse().expect("a URL");
    url.query_pairs_mut().append_pair("state", &of("state")).append_pair("code", &code);
    if let Some(issuer) = issuer {
        url.query_pairs_mut().append_pair("iss", &issuer);
    }
    Redirect::to(url.as_str()).into_response()
}

async fn token(State(shared): State<Shared>, headers: HeaderMap, body: String) -> Response {
    shared.wait().await;
    let form: HashMap<_, _> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let of = |name: &str| form.get(name).cloned().unwrap_or_default();
    let basic = format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(format!("mainstay:{SECRET}")));
    // A client sends its secret in the header, or in the form as GitHub asks.
    let is_client = match headers.get(header::AUTHORIZATION) {
        Some(value) => value.as_bytes() == basic.as_bytes(),
        None => of("client_id") == "mainstay" && of("client_secret") == SECRET,
    };
    if !is_client {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let grant = {
        let (mut script, code) = (shared.script(), of("code"));
        if script.is_code_reusable { script.codes.get(&code).cloned() } else { script.codes.remove(&code) }
    };
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(of("code_verifier")));
    let is_right = |grant: &Grant| grant.challenge == challenge && grant.redirect_uri == of("redirect_uri");
    let Some(grant) = grant.filter(is_right) else {
        let status = shared.script().refusal;
        return (status, Json(json!({ "error": "invalid_grant" }))).into_response();
    };
    let now = Clock::default().now().timestamp();
    let right = json!({ "iss": shared.base, "aud": "mainstay", "exp": now + 300, "iat": now, "auth_time": now, "nonce": grant.nonce });
    let claims = merge(right, &shared.script().claims);
    let id_token = shared.sign(&claims);
    Json(json!({ "access_token": "opaque", "token_type": "Bearer", "id_token": id_token })).into_response()
}

async fn userinfo(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    shared.wait().await;
    if headers.get(header::AUTHORIZATION).is_none_or(|value| value.as_bytes() != b"Bearer opaque") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    match shared.script().userinfo.clone() {
        Some(info) => Json(info).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The person, at the API of a GitHub Enterprise Server.
async fn github_user(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    match headers.get(header::AUTHORIZATION) {
        Some(value) if value.as_bytes() == b"Bearer opaque" => {
            let name = shared.script().claims["name"].clone();
            Json(json!({ "id": 7_000_001, "login": "ada", "name": name })).into_response()
        }
        _ => StatusCode::UNAUTHORIZED.into_response(),
    }
}

/// The addresses of the person; without an address, the scope was withdrawn.
async fn github_addresses(State(shared): State<Shared>) -> Response {
    let claims = shared.script().claims.clone();
    let other = json!({ "email": format!("{}@other.example", unique()), "primary": false, "verified": true });
    match claims["email"].as_str() {
        Some(email) => {
            let primary = json!({ "email": email, "primary": true, "verified": claims["email_verified"] });
            Json(json!([other, primary])).into_response()
        }
        None => StatusCode::FORBIDDEN.into_response(),
    }
}
