//! The ways from one page to the next.

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use mainstay_kernel::{app::App, error::Reason};
use minijinja::context;

use super::refusal;
use crate::mail::respond;

/// The name of the parameter of the page after a sign-in that is not complete.
pub(super) const OUTCOME: &str = "sign_in";
/// The name of the parameter with the reason of a failure.
pub(super) const FAILURE: &str = "sign_in_error";

/// Leads to a page by a redirect.
pub(super) fn found(url: &str) -> Response {
    let Ok(location) = HeaderValue::try_from(url) else { return refusal(Reason::UpstreamFailed.into()) };
    (
        StatusCode::SEE_OTHER,
        [(header::LOCATION, location), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))],
    )
        .into_response()
}

/// Leads to a page by a page. The browser takes that for a navigation of this site, even if it comes from another one, so that it
/// sends the strict cookies. Chromium applies `form-action` to the redirects of a form, but not to this.
pub(crate) fn leave(app: &App, headers: &HeaderMap, url: &str) -> Response {
    respond(app, headers, "authorize.html", (StatusCode::OK, "no-referrer"), context! { page => "leave", url })
}
