//! The pages and endpoints of OAuth 2.1 and OpenID Connect.
//!
//! | request | does |
//! |---|---|
//! | `GET /.well-known/openid-configuration` | describes this service (OpenID Connect Discovery 1.0, RFC 8414) |
//! | `GET`, `POST /oauth2/authorize` | begins an authorization, and leads to the next page |
//! | `GET /session/authorize` | asks the person for the consent, or leads back to the application |
//! | `POST /session/authorize` | takes the decision, by a form of that page |
//! | `GET`, `POST /oauth2/logout` | begins a sign-out (OpenID Connect RP-Initiated Logout 1.0), and leads to the next page |
//! | `GET /session/logout` | asks the person, or leads back to the application |
//! | `POST /session/logout` | ends the session of the browser, by a form of that page |
//! | `POST /oauth2/token` | exchanges a code or a refresh token, or issues a token to a client itself |
//! | `POST /oauth2/device_authorization` | issues the codes of a device (RFC 8628) |
//! | `GET /device` | leads to the page for the code of a device |
//! | `GET /session/device` | asks the person for the code |
//! | `POST /session/device` | takes the code, and then the decision, by forms of that page |
//! | `GET`, `POST /oauth2/userinfo` | returns the person of an access token |
//! | `POST /oauth2/introspect` | tells a confidential client what its access token is worth now (RFC 7662) |
//! | `POST /oauth2/revoke` | ends the session of a token (RFC 7009) |
//!
//! The cookie of the session is `SameSite=Strict`: the browser sends it to no page to which another site leads. The first page
//! therefore leads to the second one by itself, which the browser takes for a navigation within this site.
//!
//! Without `PUBLIC_URL`, which is the issuer, this service is no provider, and the pages are not found.

mod authorize;
mod device;
mod endpoint;
mod logout;

use axum::{
    Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{MethodRouter, get, post},
};
use mainstay_kernel::app::App;
use serde_json::json;

use crate::identity::{
    auth::browser::{DEADLINE, bounded, guarded},
    oauth::{model::Parameters, ops::issuer},
    oauth_client::model::IDENTITY_SCOPES,
};

pub(super) const TOKEN: &str = "/oauth2/token";

pub(crate) fn pages() -> [(&'static str, MethodRouter<App>); 13] {
    let limited = |page| bounded(page, DEADLINE);
    let decide = guarded(post(authorize::decide));
    let sign_out = guarded(post(logout::decide));
    let decide_device = guarded(post(device::decide));
    [
        ("/.well-known/openid-configuration", get(metadata)),
        ("/.well-known/oauth-authorization-server", get(metadata)),
        ("/oauth2/authorize", limited(get(authorize::begin).post(authorize::begin_by_form))),
        ("/session/authorize", limited(get(authorize::show)).merge(decide)),
        ("/oauth2/logout", limited(get(logout::begin).post(logout::begin_by_form))),
        (logout::PAGE, limited(get(logout::show)).merge(sign_out)),
        (device::BEGIN, limited(post(device::begin))),
        (device::SHORT, limited(get(device::enter))),
        (device::PAGE, limited(get(device::show)).merge(decide_device)),
        (TOKEN, limited(post(endpoint::token))),
        ("/oauth2/userinfo", limited(get(endpoint::userinfo).post(endpoint::userinfo))),
        ("/oauth2/introspect", limited(post(endpoint::introspect))),
        ("/oauth2/revoke", limited(post(endpoint::revoke))),
    ]
}

/// Returns the parameters of a form; `None` if it is too large or has too many.
fn form(body: Result<Bytes, BytesRejection>) -> Option<Parameters> {
    body.ok().and_then(|body| Parameters::parse(&body))
}

/// The metadata of the provider.
async fn metadata(State(app): State<App>) -> Response {
    let Some(issuer) = issuer(&app) else { return StatusCode::NOT_FOUND.into_response() };
    let of_contract = app.contract.policies.scopes().map(|scope| scope.name.as_str());
    let scopes: Vec<_> = IDENTITY_SCOPES.into_iter().chain(of_contract).collect();
    let metadata = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/oauth2/authorize"),
        "token_endpoint": format!("{issuer}{TOKEN}"),
        "device_authorization_endpoint": format!("{issuer}{}", device::BEGIN),
        "userinfo_endpoint": format!("{issuer}/oauth2/userinfo"),
        "revocation_endpoint": format!("{issuer}/oauth2/revoke"),
        "introspection_endpoint": format!("{issuer}/oauth2/introspect"),
        "end_session_endpoint": format!("{issuer}/oauth2/logout"),
        "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
        "scopes_supported": scopes,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": [
            "authorization_code", "refresh_token", "client_credentials", "urn:ietf:params:oauth:grant-type:device_code",
        ],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "revocation_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "acr_values_supported": ["1", "2"],
        "claims_supported":
            ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "name", "locale", "updated_at", "email", "email_verified"],
        "ui_locales_supported": ["en", "de"],
        "authorization_response_iss_parameter_supported": true,
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    });
    ([(header::CACHE_CONTROL, "public, max-age=300")], Json(metadata)).into_response()
}
