//! The content of the pages.

use std::time::Duration;

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use mainstay_kernel::{app::App, secret::random};
use minijinja::{Value, context};
use serde::Serialize;

use super::form::{Form, NotRead};
use crate::mail::{
    config::{MailConfig, MailTransport},
    links::Links,
    templates::Templates,
};

/// A page, by the name that the template uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Page {
    Reset,
    Registration,
    EmailChange,
    EmailUndo,
    Deletion,
    Invitation,
    SignIn,
    #[serde(rename = "unsubscribe")]
    Unsubscription,
}

/// The completed action, by the name that the template uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Done {
    /// The password was set.
    Reset,
    /// The user was created.
    Registered,
    /// A mail may have been sent.
    Requested,
    /// The new address was confirmed.
    EmailChanged,
    /// The change of an address was undone.
    EmailRestored,
    /// A deletion was canceled.
    DeletionCancelled,
    /// An invitation was accepted.
    Joined,
    /// Notifications were ended.
    Unsubscribed,
}

/// The reason why a form was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    /// A new password is not accepted.
    Password,
    /// The password of a user is wrong.
    WrongPassword,
    Email,
    Name,
    /// The token is unknown, used or expired.
    Link,
    /// Another browser asked for the link.
    Browser,
    /// The configuration excludes the address.
    Closed,
    /// Too many attempts, and for how many minutes.
    Often(Option<u64>),
    /// The request is not a form of these pages.
    NotRead(NotRead),
    Other,
}

impl Problem {
    /// Returns the name that the template uses.
    fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::WrongPassword => "wrong_password",
            Self::Email => "email",
            Self::Name => "name",
            Self::Link => "link",
            Self::Browser => "browser",
            Self::Closed => "closed",
            Self::Often(_) => "often",
            Self::NotRead(_) | Self::Other => "other",
        }
    }
}

/// What an invitation offers.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Offer {
    pub(super) account: String,
    pub(super) inviter: String,
    pub(super) email: String,
    /// Whether a user has the address, who accepts with the password.
    pub(super) is_registered: bool,
}

/// The content of one page.
#[derive(Clone)]
pub(super) struct View {
    page: Page,
    token: String,
    name: String,
    account: String,
    problem: Option<Problem>,
    outcome: Option<Done>,
    offer: Option<Offer>,
}

impl View {
    /// Shows the form for the action that the token authorizes, or, without a token, a form that asks for an address.
    pub(super) fn form(page: Page, token: String) -> Self {
        Self { page, token, name: String::new(), account: String::new(), problem: None, outcome: None, offer: None }
    }

    /// Shows a form again, with its values except passwords.
    pub(super) fn again(page: Page, form: Form, problem: Problem) -> Self {
        // A token that is of no use here is dropped, so that the page offers to request a new one.
        let is_useless = matches!(problem, Problem::Link | Problem::Browser);
        let token = if is_useless { String::new() } else { form.token };
        Self { page, token, name: form.name, account: form.account, problem: Some(problem), outcome: None, offer: None }
    }

    /// Shows the completed action.
    pub(super) fn outcome(page: Page, outcome: Done) -> Self {
        Self {
            page,
            token: String::new(),
            name: String::new(),
            account: String::new(),
            problem: None,
            outcome: Some(outcome),
            offer: None,
        }
    }

    /// Adds what an invitation offers.
    pub(super) fn with_offer(self, offer: Offer) -> Self {
        Self { offer: Some(offer), ..self }
    }

    fn status(&self) -> StatusCode {
        match self.problem {
            None => StatusCode::OK,
            Some(Problem::Link) => StatusCode::GONE,
            Some(Problem::Password | Problem::WrongPassword | Problem::Email | Problem::Name) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Some(Problem::Closed) => StatusCode::UNPROCESSABLE_ENTITY,
            Some(Problem::Often(_)) => StatusCode::TOO_MANY_REQUESTS,
            Some(Problem::Browser | Problem::NotRead(NotRead::Foreign)) => StatusCode::FORBIDDEN,
            Some(Problem::NotRead(NotRead::OtherType)) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Some(Problem::NotRead(NotRead::TooLong)) => StatusCode::PAYLOAD_TOO_LARGE,
            Some(Problem::NotRead(NotRead::CutOff)) => StatusCode::BAD_REQUEST,
            Some(Problem::NotRead(NotRead::Late)) => StatusCode::REQUEST_TIMEOUT,
            Some(Problem::Other) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Returns a time that a person must wait, in whole minutes.
pub(crate) fn minutes(wait: Duration) -> u64 {
    wait.as_secs().div_ceil(60).max(1)
}

/// Returns the first supported language in the browser's `Accept-Language`.
pub(super) fn language(headers: &HeaderMap) -> &'static str {
    let tags = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let primary = |tag: &str| tag.split([';', '-']).next().unwrap_or_default().trim().to_ascii_lowercase();
    let language = tags.split(',').find_map(|tag| ["en", "de"].into_iter().find(|code| primary(tag) == *code));
    language.unwrap_or("en")
}

/// Renders a page of a link.
pub(super) fn render(app: &App, headers: &HeaderMap, view: &View) -> Response {
    let mail = app.config.section::<MailConfig>();
    let values = context! {
        page => view.page,
        token => view.token,
        name => view.name,
        account => view.account,
        problem => view.problem.map(Problem::as_str),
        minutes => if let Some(Problem::Often(minutes)) = view.problem { minutes } else { None },
        done => view.outcome,
        offer => view.offer,
        // A front end has its own sign-in, to which it leads from its first page.
        sign_in => mail.brand.app_url.as_deref().unwrap_or(Links::WAYS_TO_SIGN_IN),
        keeps_mail => matches!(mail.transport, MailTransport::Outbox),
    };
    respond(app, headers, "page.html", (view.status(), "no-referrer"), values)
}

/// Renders a template of a page in the language that the reader's browser prefers, with a status and a referrer policy. The page
/// runs no script, and loads nothing but the logo.
pub(crate) fn respond(
    app: &App,
    headers: &HeaderMap,
    template: &str,
    shown: (StatusCode, &'static str),
    values: Value,
) -> Response {
    respond_with(app, headers, template, shown, |_| String::new(), values)
}

/// Renders a template like [`respond`]. The page runs the scripts that have its nonce, and they call this server.
pub(crate) fn respond_with_script(
    app: &App,
    headers: &HeaderMap,
    template: &str,
    shown: (StatusCode, &'static str),
    values: Value,
) -> Response {
    let scripts = |nonce: &str| format!("; script-src 'nonce-{nonce}'; connect-src 'self'");
    respond_with(app, headers, template, shown, scripts, values)
}

fn respond_with(
    app: &App,
    headers: &HeaderMap,
    template: &str,
    (status, referrer): (StatusCode, &'static str),
    scripts: impl FnOnce(&str) -> String,
    values: Value,
) -> Response {
    let nonce = STANDARD.encode(random::<16>());
    let values = context! { language => language(headers), nonce, ..values };
    let Ok(html) = app.part::<Templates>().page(template, values) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let logo = app.config.section::<MailConfig>().brand.logo.as_ref();
    let images = logo.map(|url| format!("; img-src {}", url.origin().ascii_serialization())).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'{}{images}; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'",
        scripts(&nonce)
    );
    let headers = [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "no-store, no-transform".to_owned()),
        (header::REFERRER_POLICY, referrer.to_owned()),
    ];
    (status, headers, Html(html)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_known_language_counts() {
        let of = |text: &str| {
            let value = text.parse().expect("a value");
            language(&HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, value)]))
        };
        assert_eq!(of("fr, de-AT;q=0.8, en;q=0.5"), "de");
        assert_eq!(of("EN-us"), "en");
        assert_eq!((of("fr"), of(""), language(&HeaderMap::new())), ("en", "en", "en"));
    }

    /// The template must know each name: an unknown name would render an empty page without an error.
    #[test]
    fn the_template_knows_each_name() {
        let template = include_str!("../templates/page.html");
        let asks = |variable: &str, name: &str| template.contains(&format!("{variable} == \"{name}\""));
        for outcome in [
            Done::Reset,
            Done::Registered,
            Done::Requested,
            Done::EmailChanged,
            Done::EmailRestored,
            Done::DeletionCancelled,
            Done::Joined,
            Done::Unsubscribed,
        ] {
            assert!(asks("done", &Value::from_serialize(outcome).to_string()), "{outcome:?}");
        }
        let problems = [
            Problem::Password,
            Problem::WrongPassword,
            Problem::Email,
            Problem::Name,
            Problem::Link,
            Problem::Browser,
            Problem::Closed,
            Problem::Often(None),
        ];
        for problem in problems {
            assert!(asks("problem", problem.as_str()), "{problem:?}");
        }
        // All other problems share one text.
        assert!(!asks("problem", Problem::Other.as_str()) && template.contains("{%- elif problem -%}"));
        // Without a token, the template's default form is the registration form.
        for page in [
            Page::Reset,
            Page::EmailChange,
            Page::EmailUndo,
            Page::Deletion,
            Page::Invitation,
            Page::SignIn,
            Page::Unsubscription,
        ] {
            assert!(asks("page", &Value::from_serialize(page).to_string()), "{page:?}");
        }
        assert_eq!(Value::from_serialize(Page::Registration).to_string(), "registration");
    }
}
