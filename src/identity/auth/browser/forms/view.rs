//! The content of the pages.

use std::time::Duration;

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use mainstay_kernel::{app::App, error::Error};
use minijinja::context;

use super::{FAILURE, Place, SIGN_IN};
use crate::{
    identity::{
        config::Provider,
        mail_login::ops as mail_login,
        provider::{client::Providers, model::with_parameter},
        second_factor::relying_party::RelyingParty,
    },
    mail::{minutes, respond_with_script},
};

/// A page.
pub(super) struct View<'v> {
    /// The name that the template uses.
    pub(super) step: &'static str,
    pub(super) place: &'v Place,
    /// The address that was typed.
    pub(super) email: &'v str,
    /// The code of the failure.
    pub(super) problem: Option<&'v str>,
    pub(super) status: StatusCode,
    /// How long the person must wait.
    pub(super) wait: Option<Duration>,
    /// Whether the failure is that of a recovery code.
    pub(super) is_recovery: bool,
    /// How long the device can be remembered; `None` if it can't.
    pub(super) remember_days: Option<i64>,
}

impl<'v> View<'v> {
    pub(super) fn of(step: &'static str, place: &'v Place) -> Self {
        Self {
            step,
            place,
            email: "",
            problem: None,
            status: StatusCode::OK,
            wait: None,
            is_recovery: false,
            remember_days: None,
        }
    }

    /// Adds a failure.
    pub(super) fn failed(self, error: &Error) -> Self {
        let facts = error.reason().facts();
        if facts.http.is_server_error() {
            tracing::warn!(error = error.detail(), "a form of the sign-in could not be handled");
        }
        // A browser asks for the scheme of a 401.
        let status = if facts.http == StatusCode::UNAUTHORIZED { StatusCode::UNPROCESSABLE_ENTITY } else { facts.http };
        Self { problem: Some(facts.code), status, wait: error.wait(), ..self }
    }

    pub(super) fn render(self, app: &App, headers: &HeaderMap) -> Response {
        let Self { step, place, email, problem, status, wait, is_recovery, remember_days } = self;
        let again = place.on(SIGN_IN);
        let link = |provider: &Provider| context! { label => provider.label, url => place.by_provider(&provider.name) };
        let values = context! {
            step,
            place => place.as_str(),
            email,
            problem,
            minutes => wait.map(minutes),
            is_recovery,
            remember_days,
            mail => mail_login::is_offered(app),
            passkeys => matches!(step, "password" | "second_factor") && app.part::<RelyingParty>().is_available(),
            providers => app.part::<Providers>().all().map(link).collect::<Vec<_>>(),
            provider_query => place.provider_query(),
            expired => with_parameter(&again, FAILURE, "INVALID_TOKEN"),
            again,
        };
        // A form must have the `Origin` of this page.
        let mut response = respond_with_script(app, headers, "sign_in.html", (status, "same-origin"), values);
        if let Some(wait) = wait {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        response
    }
}
