//! Sign-in by forms: pages of this server that work without a script.
//!
//! | request | does |
//! |---|---|
//! | `GET`, `POST /session/sign-in` | shows the ways to sign in; signs in with a password |
//! | `POST /session/sign-in/mail` | begins a sign-in by mail |
//! | `GET`, `POST /session/sign-in/code` | asks for the code of the mail; signs in with it |
//! | `POST /session/sign-in/company` | leads to the provider of the account that has proved the domain of an address |
//! | `GET`, `POST /session/sign-in/second-factor` | asks for the second factor; takes a code of the app or a recovery code |
//! | `GET /session/sign-in/done` | says that the person is signed in, where no other page follows |
//! | `GET /session/sign-in/passkey.js` | the script that adds the button for passkeys, which calls `/session/passkey` and `/session/second-factor` |
//!
//! Each page takes the [`Place`] that follows as `return`. The forms call the operations of `POST /session` and its siblings,
//! so that limits, audit and timing are the same. A form is accepted only from a page of this origin, which prevents login CSRF.
//! The challenge of a second factor and the binding of a mail are in strict cookies.

mod code;
mod place;
mod second_factor;
mod view;

use std::{sync::Arc, time::Duration};

use axum::{
    body::Bytes,
    extract::{RawQuery, Request, State},
    handler::Handler as _,
    http::{HeaderMap, HeaderName, header},
    response::{IntoResponse as _, Response},
    routing::{MethodRouter, any, get, post},
};
use mainstay_kernel::{
    app::App,
    error::{Error, ReasonRef},
    http::asset::{Asset, Caching},
};
use secrecy::ExposeSecret as _;
use url::form_urlencoded;

use super::{
    DEADLINE, bounded, cookie, device_token, guarded, in_headers, is_secure, is_tls,
    redirect::{FAILURE, OUTCOME, found, leave},
    visit::Visit,
};
use crate::{
    identity::{
        account_provider::ops as account_provider,
        auth::{
            limits,
            ops::{self, SignedIn},
        },
        config::IdentityConfig,
        provider::model::with_parameter,
        user::model::EmailAddress,
    },
    mail::ops::Links,
    proto::identity::v1::Reason as IdentityReason,
};

pub(super) use place::Place;
pub(crate) use place::enrolment_before;
use view::View;

const SIGN_IN: &str = Links::WAYS_TO_SIGN_IN;
const SECOND_FACTOR: &str = "/session/sign-in/second-factor";
const CODE: &str = "/session/sign-in/code";
const DONE: &str = "/session/sign-in/done";

/// How long the browser keeps the page that follows, for a person who resets the password or registers first.
const PLACE_KEPT: Duration = Duration::from_secs(3600);

pub(crate) fn pages() -> [(&'static str, MethodRouter<App>); 7] {
    let shown = |page| bounded(page, DEADLINE);
    let script = Arc::new(Asset::new("text/javascript; charset=utf-8", Caching::Revalidate, || {
        Bytes::from_static(include_bytes!("forms/passkey.js"))
    }));
    let script = get(move |headers: HeaderMap| {
        let script = script.clone();
        async move { script.response(&headers).await }
    });
    [
        (SIGN_IN, shown(get(show)).merge(readable(guarded(post(sign_in))))),
        ("/session/sign-in/mail", get(begin_again).merge(readable(guarded(post(code::begin))))),
        (CODE, shown(get(code::show)).merge(readable(guarded(post(code::sign_in))))),
        ("/session/sign-in/company", get(begin_again).merge(readable(guarded(post(leave_for_company))))),
        (SECOND_FACTOR, shown(get(second_factor::show)).merge(readable(guarded(post(second_factor::verify))))),
        (DONE, shown(get(done))),
        ("/session/sign-in/passkey.js", script),
    ]
}

/// Wraps a form or a page so that a person sees a page, too, if it is refused before it is read, or takes too long.
pub(super) fn readable(form: MethodRouter<App>) -> MethodRouter<App> {
    any(move |State(app): State<App>, request: Request| async move {
        let headers = request.headers().clone();
        let response = form.call(request, app.clone()).await;
        let refused = response.extensions().get::<ReasonRef>().map(|reason| reason.facts().http);
        let status = refused.unwrap_or_else(|| response.status());
        let is_error = status.is_client_error() || status.is_server_error();
        if !is_error || is_html(response.headers(), header::CONTENT_TYPE) || !is_html(&headers, header::ACCEPT) {
            return response;
        }
        let place = Place::kept(&app, &headers, is_secure(&app));
        View { problem: Some("REFUSED"), status, ..View::of("password", &place) }.render(&app, &headers)
    })
}

/// Returns whether a header begins with the media type of a page, as `Accept` of a browser that navigates does.
pub(super) fn is_html(headers: &HeaderMap, name: HeaderName) -> bool {
    headers.get(name).is_some_and(|value| value.as_bytes().starts_with(b"text/html"))
}

/// The fields of a form, or the parameters of a query.
struct Fields(Vec<(String, String)>);

impl Fields {
    fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    fn get(&self, wanted: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    fn place(&self, app: &App) -> Place {
        Place::read(app, self.get("return"))
    }

    fn email(&self) -> &str {
        self.get("email").unwrap_or_default()
    }
}

/// `GET /session/sign-in`.
async fn show(State(app): State<App>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let (query, is_tls) = (Fields::parse(query.unwrap_or_default().as_bytes()), is_secure(&app));
    let place = match query.get("return") {
        Some(path) => Place::read(&app, Some(path)),
        // A reset or a registration has led the person here.
        None => Place::kept(&app, &headers, is_tls),
    };
    let cookies = query.get("return").map(|_| place.keep(&headers, is_tls, PLACE_KEPT)).unwrap_or_default();
    let page = View { problem: query.get(FAILURE), ..View::of("password", &place) }.render(&app, &headers);
    (in_headers(cookies), page).into_response()
}

/// Leads to the beginning from the address of a form that has no page, which a failure leaves in the browser.
async fn begin_again() -> Response {
    found(SIGN_IN)
}

/// `POST /session/sign-in`.
async fn sign_in(Visit { app, headers, device, from, body }: Visit) -> Response {
    let form = Fields::parse(&body);
    let place = form.place(&app);
    let login = async {
        let email = EmailAddress::find(form.email())?;
        // White space belongs to a password.
        let password = form_urlencoded::parse(&body).find(|(name, _)| name == "password");
        let password = password.map(|(_, password)| password.into_owned()).unwrap_or_default().into();
        let device_token = device_token(&headers, is_tls(&app, &headers));
        ops::login(&app, ops::Attempt { email, password, device, device_token, from, account: None }).await
    };
    match login.await {
        Ok(outcome) => advance(&app, &headers, is_tls(&app, &headers), &place, outcome, Vec::new()),
        Err(error) => refused(&app, &headers, View { email: form.email(), ..View::of("password", &place) }, &error),
    }
}

/// `POST /session/sign-in/company`. The provider is looked up in Postgres by a stranger, so that the look-ups are limited.
async fn leave_for_company(Visit { app, headers, from, body, .. }: Visit) -> Response {
    let form = Fields::parse(&body);
    let place = form.place(&app);
    let find = async {
        let email = EmailAddress::parse(form.email())?;
        limits::provider_sign_in(&app, from).await?;
        account_provider::find(&app, &email).await
    };
    match find.await {
        Ok(provider) => leave(&app, &headers, &place.by_provider(&provider.id.to_string())),
        Err(error) => refused(&app, &headers, View { email: form.email(), ..View::of("password", &place) }, &error),
    }
}

/// `GET /session/sign-in/done`. A provider leads here if the page that follows is at the front end.
async fn done(State(app): State<App>, headers: HeaderMap) -> Response {
    let place = Place::read(&app, None);
    if place.as_str() == DONE {
        View::of("done", &place).render(&app, &headers)
    } else {
        go(&app, &headers, place.as_str())
    }
}

/// Keeps the session, or the challenge of a second factor, in cookies, and leads to the page that follows.
pub(super) fn advance(
    app: &App,
    headers: &HeaderMap,
    is_tls: bool,
    place: &Place,
    outcome: SignedIn,
    mut cookies: Vec<String>,
) -> Response {
    let next = match outcome {
        SignedIn::Tokens(pair, device) => {
            let config = app.config.section::<IdentityConfig>();
            cookies.extend(cookie::SESSION.set(headers, is_tls, pair.refresh.expose_secret(), config.refresh_ttl));
            cookies.extend(cookie::DEVICE.set(headers, is_tls, device.expose_secret(), config.device_ttl()));
            cookies.extend(Place::forget(headers, is_tls));
            go(app, headers, place.as_str())
        }
        SignedIn::Challenge(token, life) => {
            let life = life.to_std().unwrap_or_default();
            cookies.extend(cookie::CHALLENGE.set(headers, is_tls, token.expose_secret(), life));
            found(&place.on(SECOND_FACTOR))
        }
    };
    (in_headers(cookies), next).into_response()
}

/// Shows a form again, with the failure, or leads to the provider that the account requires.
fn refused(app: &App, headers: &HeaderMap, view: View<'_>, error: &Error) -> Response {
    let required = error.metadata().find(|(name, _)| *name == "provider");
    match required {
        Some((_, provider)) if error.reason() == IdentityReason::ProviderRequired => {
            leave(app, headers, &view.place.by_provider(provider))
        }
        _ => view.failed(error).render(app, headers),
    }
}

/// Returns the page that asks for the second factor after a sign-in with a provider.
pub(super) fn to_second_factor(path: &str) -> String {
    match Place::without_script(path) {
        Some(place) => place.on(SECOND_FACTOR),
        None => with_parameter(path, OUTCOME, "second_factor"),
    }
}

/// Returns the page that shows the failure of a sign-in with a provider.
pub(super) fn to_failure(path: &str, code: &str) -> String {
    match Place::without_script(path) {
        Some(place) => with_parameter(&place.on(SIGN_IN), FAILURE, code),
        None => with_parameter(path, FAILURE, code),
    }
}

/// Returns the page with the ways to sign in, which leads to a path of this server.
pub(crate) fn sign_in_before(path: &str) -> String {
    place::on(SIGN_IN, path)
}

/// Leads to a page. A page that reads the cookie of the session is reached by a page of this server.
pub(super) fn go(app: &App, headers: &HeaderMap, url: &str) -> Response {
    let is_plain = url.starts_with('/') && !url.starts_with("/session/") && Place::without_script(url).is_none();
    if is_plain { found(url) } else { leave(app, headers, url) }
}
