//! Sign-in with a provider: the page to which a browser goes, and the page to which it returns.

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{Path, RawQuery, State, rejection::BytesRejection},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use mainstay_kernel::{
    app::App,
    caller::ClientAddress,
    error::{Error, Reason, Result},
};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::json;
use url::form_urlencoded;

use super::{
    cookie, forms, in_headers, is_secure, is_tls, origin_of, read,
    redirect::{OUTCOME, found},
    refusal, too_large,
};
use crate::identity::{
    auth::ops::SignedIn,
    config::IdentityConfig,
    provider::{
        model::{Answer, Intent, LIFE, return_path, with_parameter},
        ops::{self, Begun, Browser, Finished},
    },
};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct LinkStart {
    #[serde(default)]
    return_path: Option<String>,
}

/// `GET /auth/oidc/{provider}`: sends the browser to the provider. With `fresh`, the provider is to authenticate the person again.
pub(super) async fn start(
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let query = query.unwrap_or_default();
    let parameter = |wanted: &str| form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == wanted);
    let origins = &app.config.section::<IdentityConfig>().session_origins;
    let path = match return_path(parameter("return").as_ref().map(|(_, path)| &**path), origins) {
        Ok(path) => path,
        Err(error) => return refusal(error),
    };
    let device = cookie::DEVICE.read(&headers, is_secure(&app)).map(str::to_owned);
    match ops::begin(&app, &name, path.clone(), Intent::SignIn, parameter("fresh").is_some(), device).await {
        Ok(begun) => (kept(&app, &begun), found(&begun.url)).into_response(),
        // A person looks at the page, who can choose another way to sign in.
        Err(error) if error.reason().facts().http.is_server_error() || forms::is_html(&headers, header::ACCEPT) => {
            found(&forms::to_failure(&path, failure(&error)))
        }
        Err(error) => refusal(error),
    }
}

/// `POST /session/oidc/{provider}`: returns the URL at which the user of the session links an identity.
pub(super) async fn start_link(
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let begin = async {
        let body = body.map_err(too_large)?;
        let LinkStart { return_path: path } = match &*body {
            [] => LinkStart::default(),
            body => read(body, "The body must be empty, or JSON with returnPath.")?,
        };
        let token = cookie::SESSION.read(&headers, is_tls(&app, &headers)).ok_or(Reason::Unauthenticated)?;
        let origins = &app.config.section::<IdentityConfig>().session_origins;
        ops::begin_link(&app, &name, return_path(path.as_deref(), origins)?, token).await
    };
    match begin.await {
        Ok(begun) => {
            let body = Json(json!({ "data": { "url": begun.url } }));
            (kept(&app, &begun), [(header::CACHE_CONTROL, "no-store")], body).into_response()
        }
        Err(error) => refusal(error),
    }
}

/// `GET /auth/oidc/{provider}/callback`: the return of the browser.
pub(super) async fn finish(
    State(app): State<App>,
    Path(name): Path<String>,
    address: Option<Extension<ClientAddress>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    finished(&app, &name, Answer::parse(&query.unwrap_or_default()), address, &headers).await
}

/// `POST /auth/oidc/{provider}/callback`: the same, by a form.
pub(super) async fn finish_form(
    State(app): State<App>,
    Path(name): Path<String>,
    address: Option<Extension<ClientAddress>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    match body {
        Ok(body) => finished(&app, &name, Answer::parse(&String::from_utf8_lossy(&body)), address, &headers).await,
        Err(rejection) => refusal(too_large(rejection)),
    }
}

async fn finished(
    app: &App,
    name: &str,
    answer: Answer,
    address: Option<Extension<ClientAddress>>,
    headers: &HeaderMap,
) -> Response {
    let (device, from) = origin_of(address, headers);
    let is_tls = is_secure(app);
    let cookie = cookie::PROVIDER.read(headers, is_tls).map(str::to_owned);
    let (path, outcome) = ops::finish(app, name, answer, Browser { cookie, device, from }).await;
    let mut cookies = cookie::PROVIDER.clear(headers, is_tls);
    let place = match outcome {
        // The browser withholds the cookie of the device from a navigation that began at another site, so that a new one would
        // replace one that is known.
        Ok(Finished::SignedIn(SignedIn::Tokens(pair, _))) => {
            let life = app.config.section::<IdentityConfig>().refresh_ttl;
            cookies.extend(cookie::SESSION.set(headers, is_tls, pair.refresh.expose_secret(), life));
            // The cookie is removed unread, because the browser withholds it, too.
            cookies.extend(cookie::PLACE.clear(headers, is_tls));
            path
        }
        Ok(Finished::SignedIn(SignedIn::Challenge(token, life))) => {
            let life = life.to_std().unwrap_or_default();
            cookies.extend(cookie::CHALLENGE.set(headers, is_tls, token.expose_secret(), life));
            forms::to_second_factor(&path)
        }
        Ok(Finished::Linked) => with_parameter(&path, OUTCOME, "linked"),
        Err(error) => forms::to_failure(&path, failure(&error)),
    };
    (in_headers(cookies), forms::go(app, headers, &place)).into_response()
}

/// Returns the code of an error, for the page. The log has the rest.
fn failure(error: &Error) -> &'static str {
    let facts = error.reason().facts();
    if facts.http.is_server_error() {
        tracing::warn!(error = error.detail(), "a sign-in with a provider failed");
    }
    facts.code
}

/// Returns the cookie of a sign-in that has begun.
fn kept(app: &App, begun: &Begun) -> super::SetCookies {
    let cookie = if begun.is_form_post { cookie::PROVIDER.across_sites() } else { cookie::PROVIDER };
    in_headers(cookie.set(&HeaderMap::new(), is_secure(app), &begun.cookie, LIFE.to_std().unwrap_or_default()))
}
