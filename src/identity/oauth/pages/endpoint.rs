//! The endpoints that applications call.

use std::net::IpAddr;

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use mainstay_kernel::{
    app::App,
    caller::ClientAddress,
    error::{Error, Reason, Result},
};
use secrecy::ExposeSecret as _;
use serde_json::{Map, json};
use url::form_urlencoded;

use super::form;
use crate::identity::{
    auth::{
        browser::{origin_of, refusal},
        limits,
    },
    oauth::{
        model::Parameters,
        ops::{self, Failure, Issued, issuer},
    },
    oauth_client::{
        id::OauthClientId,
        model::{GrantType, OauthClient},
        ops::{self as client, Authenticated},
    },
};

/// Why a request of an application is refused (RFC 6749, 5.2).
pub(super) enum Fault {
    Request,
    Client,
    Grant,
    /// Likewise, of a client that has proved who it is: it holds the tokens of many people, whose sessions end.
    Ended,
    Unauthorized,
    GrantType,
    Scope,
    /// The state of a device (RFC 8628, 3.5).
    Device(&'static str),
    Other(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Grant => Self::Grant,
            Failure::Request => Self::Request,
            Failure::Scope => Self::Scope,
            Failure::Pending => Self::Device("authorization_pending"),
            Failure::TooFast => Self::Device("slow_down"),
            Failure::Denied => Self::Device("access_denied"),
            Failure::Expired => Self::Device("expired_token"),
            Failure::Other(error) => Self::Other(error),
        }
    }
}

impl Fault {
    /// Returns the fault of a client that was authenticated.
    fn of(self, client: &OauthClient) -> Self {
        if matches!(self, Self::Grant) && client.is_confidential { Self::Ended } else { self }
    }

    /// Returns whether the sender may be guessing.
    fn is_wrong(&self) -> bool {
        matches!(self, Self::Client | Self::Grant)
    }

    pub(super) fn response(self) -> Response {
        let (status, code) = match self {
            Self::Request => (StatusCode::BAD_REQUEST, "invalid_request"),
            Self::Client => (StatusCode::UNAUTHORIZED, "invalid_client"),
            Self::Grant | Self::Ended => (StatusCode::BAD_REQUEST, "invalid_grant"),
            Self::Unauthorized => (StatusCode::BAD_REQUEST, "unauthorized_client"),
            Self::GrantType => (StatusCode::BAD_REQUEST, "unsupported_grant_type"),
            Self::Scope => (StatusCode::BAD_REQUEST, "invalid_scope"),
            Self::Device(code) => (StatusCode::BAD_REQUEST, code),
            Self::Other(error) => return refusal(error),
        };
        let mut response = answer(status, &json!({ "error": code }));
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"oauth2\""));
        }
        response
    }
}

pub(super) fn answer(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// Returns the parameters of a request of an application, and its client.
pub(super) async fn identified(
    app: &App,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> std::result::Result<(Parameters, Authenticated), Fault> {
    let parameters = form(body).ok_or(Fault::Request)?;
    let client = authenticated(app, headers, &parameters).await?;
    Ok((parameters, client))
}

/// Returns the client of a request, by its id and its secret in the header (RFC 6749, 2.3.1) or in the form, but not in both.
async fn authenticated(
    app: &App,
    headers: &HeaderMap,
    parameters: &Parameters,
) -> std::result::Result<Authenticated, Fault> {
    let (id, secret) = match (headers.get(header::AUTHORIZATION), parameters.get("client_secret")) {
        (Some(_), Some(_)) => return Err(Fault::Request),
        (Some(value), None) => {
            let (id, secret) = basic(value).ok_or(Fault::Client)?;
            let id: OauthClientId = id.parse().map(OauthClientId).map_err(|_| Fault::Client)?;
            if parameters.get("client_id").is_some() && parameters.client() != Some(id) {
                return Err(Fault::Request);
            }
            // An empty secret is that of a public client, as in the form.
            (id, Some(secret).filter(|secret| !secret.is_empty()))
        }
        (None, secret) => (parameters.client().ok_or(Fault::Client)?, secret.map(str::to_owned)),
    };
    client::authenticate(app, id, secret.as_deref()).await?.ok_or(Fault::Client)
}

/// Reads the credentials of the header, each encoded as in a form.
fn basic(value: &HeaderValue) -> Option<(String, String)> {
    let (scheme, credentials) = value.to_str().ok()?.split_once(' ')?;
    let credentials = STANDARD.decode(credentials.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let credentials = String::from_utf8(credentials).ok()?;
    let (id, secret) = credentials.split_once(':')?;
    let decoded = |text: &str| {
        let pair = form_urlencoded::parse(text.as_bytes()).next();
        pair.map(|(text, _)| text.into_owned()).unwrap_or_default()
    };
    Some((decoded(id), decoded(secret)))
}

/// Counts a request of an application, and takes it back unless the sender may be guessing.
pub(super) async fn counted<T>(
    app: &App,
    from: IpAddr,
    work: impl Future<Output = std::result::Result<T, Fault>>,
) -> std::result::Result<T, Fault> {
    let attempt = limits::oauth_client(app, from).await?;
    let outcome = work.await;
    if !outcome.as_ref().is_err_and(Fault::is_wrong) {
        app.limiter.take_back(attempt).await;
    }
    outcome
}

/// `POST /oauth2/token`.
pub(super) async fn token(
    State(app): State<App>,
    address: Option<Extension<ClientAddress>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    if issuer(&app).is_none() {
        return StatusCode::NOT_FOUND.into_response();
    }
    let (device, from) = origin_of(address, &headers);
    let issue = async {
        let (parameters, (client, secret)) = identified(&app, &headers, body).await?;
        let needs = |grant| if client.may_use(grant) { Ok(()) } else { Err(Fault::Unauthorized) };
        let issued = match parameters.get("grant_type") {
            None => return Err(Fault::Request),
            Some("authorization_code") => {
                needs(GrantType::AuthorizationCode)?;
                ops::exchange(&app, &client, &parameters, device.address).await
            }
            Some("refresh_token") => {
                needs(GrantType::RefreshToken)?;
                ops::refresh(&app, &client, &parameters).await
            }
            Some("urn:ietf:params:oauth:grant-type:device_code") => {
                needs(GrantType::DeviceCode)?;
                ops::exchange_device(&app, &client, &parameters, device.address).await
            }
            Some("client_credentials") => {
                needs(GrantType::ClientCredentials)?;
                ops::issue_to_client(&app, &client, secret.ok_or(Fault::Client)?, &parameters).await
            }
            Some(_) => return Err(Fault::GrantType),
        };
        issued.map_err(|failure| Fault::from(failure).of(&client))
    };
    match counted(&app, from, issue).await {
        Ok(issued) => answer(StatusCode::OK, &render(&issued)),
        Err(fault) => fault.response(),
    }
}

fn render(issued: &Issued) -> serde_json::Value {
    let refresh = issued.refresh.as_ref().map(|token| token.expose_secret());
    let mut body = Map::new();
    body.insert("access_token".to_owned(), json!(issued.access.expose_secret()));
    body.insert("token_type".to_owned(), json!("Bearer"));
    body.insert("expires_in".to_owned(), json!(issued.expires_in.num_seconds()));
    body.insert("scope".to_owned(), json!(issued.scope));
    body.extend(refresh.map(|token| ("refresh_token".to_owned(), json!(token))));
    body.extend(issued.id_token.as_ref().map(|token| ("id_token".to_owned(), json!(token.expose_secret()))));
    body.into()
}

/// `POST /oauth2/revoke`. A token that is unknown, or of another client, counts as revoked.
pub(super) async fn revoke(
    State(app): State<App>,
    address: Option<Extension<ClientAddress>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let (_, from) = origin_of(address, &headers);
    let end = async {
        let (parameters, (client, _)) = identified(&app, &headers, body).await?;
        Ok(ops::end(&app, &client, parameters.get("token").ok_or(Fault::Request)?).await?)
    };
    match counted(&app, from, end).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(fault) => fault.response(),
    }
}

/// `POST /oauth2/introspect`. A public client, which anyone can pretend to be, learns nothing.
pub(super) async fn introspect(
    State(app): State<App>,
    address: Option<Extension<ClientAddress>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let Some(issuer) = issuer(&app) else { return StatusCode::NOT_FOUND.into_response() };
    let (_, from) = origin_of(address, &headers);
    let inspect = async {
        let (parameters, (client, _)) = identified(&app, &headers, body).await?;
        if !client.is_confidential {
            return Err(Fault::Client);
        }
        let token = parameters.get("token").ok_or(Fault::Request)?;
        let inspected = ops::inspect(&app, &client, token).await?;
        Ok(inspected.map_or_else(
            || json!({ "active": false }),
            |token| {
                json!({
                    "active": true,
                    "client_id": client.id.0,
                    "sub": token.subject,
                    "scope": token.scope,
                    "exp": token.expires_at.timestamp(),
                    "iss": issuer,
                    "token_type": "Bearer",
                })
            },
        ))
    };
    match counted(&app, from, inspect).await {
        Ok(body) => answer(StatusCode::OK, &body),
        Err(fault) => fault.response(),
    }
}

/// `GET` and `POST /oauth2/userinfo` (OpenID Connect Core 1.0, 5.3).
pub(super) async fn userinfo(State(app): State<App>, headers: HeaderMap) -> Response {
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token =
        header.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let Some((_, token)) = token else { return refused(StatusCode::UNAUTHORIZED, "Bearer") };
    match ops::person(&app, token.trim()).await {
        Ok(Some(ops::Person { user, has_confirmed_email, scopes })) => {
            let has = |wanted: &str| scopes.iter().any(|scope| scope == wanted);
            let mut claims = Map::new();
            claims.insert("sub".to_owned(), json!(user.id.0));
            if has("profile") {
                claims.insert("name".to_owned(), json!(user.name));
                claims.insert("locale".to_owned(), json!(user.language.as_str()));
                claims.insert("updated_at".to_owned(), json!(user.updated_at.timestamp()));
            }
            if has("email") {
                claims.insert("email".to_owned(), json!(user.email.as_str()));
                claims.insert("email_verified".to_owned(), json!(has_confirmed_email));
            }
            answer(StatusCode::OK, &claims.into())
        }
        Ok(None) => refused(StatusCode::FORBIDDEN, "Bearer error=\"insufficient_scope\", scope=\"openid\""),
        Err(error) => {
            let ended = [Reason::InvalidToken, Reason::TokenExpired, Reason::SessionRevoked];
            if ended.iter().any(|reason| error.reason() == *reason) {
                return refused(StatusCode::UNAUTHORIZED, "Bearer error=\"invalid_token\"");
            }
            refusal(error)
        }
    }
}

fn refused(status: StatusCode, challenge: &'static str) -> Response {
    let headers = [(header::WWW_AUTHENTICATE, challenge), (header::CACHE_CONTROL, "no-store")];
    (status, headers).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_credentials_of_the_header_are_encoded_as_in_a_form() {
        let value = |text: &str| HeaderValue::try_from(text).expect("ASCII");
        let encoded = STANDARD.encode("a%3Ab:c+d%25");
        let read = basic(&value(&format!("Basic {encoded}")));
        assert_eq!(read, Some(("a:b".to_owned(), "c d%".to_owned())));
        for bad in ["Basic", "Basic !", "Bearer YTpi", "Basic YQ=="] {
            assert_eq!(basic(&value(bad)), None, "{bad}");
        }
    }
}
