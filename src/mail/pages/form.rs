//! The forms.

use axum::{
    body::to_bytes,
    extract::Request,
    http::{HeaderMap, HeaderName, header},
};
use http_body_util::LengthLimitError;

/// The maximum size of a form, in bytes.
const MAX_BYTES: usize = 8 << 10;

/// The fields of a submitted form. They may hold secrets.
#[derive(Clone, Default)]
pub(super) struct Form {
    pub(super) token: String,
    pub(super) password: String,
    pub(super) name: String,
    pub(super) email: String,
    /// The name of the account.
    pub(super) account: String,
}

/// The reason why a request is not a form of these pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotRead {
    /// A page of another site sent the request.
    Foreign,
    /// The media type is not that of a form.
    OtherType,
    TooLong,
    /// The body was incomplete.
    CutOff,
    /// The body did not arrive in time.
    Late,
}

/// Checks that a page of this origin sent the form. Browsers state the origin in `Sec-Fetch-Site`. A client without
/// this header is not a browser, so cross-site request forgery is impossible.
fn check(headers: &HeaderMap) -> Result<(), NotRead> {
    let header = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let site = header(HeaderName::from_static("sec-fetch-site"));
    if !site.is_none_or(|site| matches!(site, "same-origin" | "none")) {
        return Err(NotRead::Foreign);
    }
    let media_type = header(header::CONTENT_TYPE).and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    let is_form = media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded");
    is_form.then_some(()).ok_or(NotRead::OtherType)
}

/// Reads a form.
///
/// # Errors
/// The reason why the request is not a form of these pages.
pub(super) async fn read(request: Request) -> Result<Form, NotRead> {
    check(request.headers())?;
    let body = to_bytes(request.into_body(), MAX_BYTES).await.map_err(|error| {
        let source = std::error::Error::source(&error);
        if source.is_some_and(|source| source.is::<LengthLimitError>()) { NotRead::TooLong } else { NotRead::CutOff }
    })?;
    let mut form = Form::default();
    for (name, value) in url::form_urlencoded::parse(&body) {
        match &*name {
            "token" => form.token = value.into_owned(),
            "password" => form.password = value.into_owned(),
            "name" => form.name = value.into_owned(),
            "email" => form.email = value.into_owned(),
            "account" => form.account = value.into_owned(),
            _ => {}
        }
    }
    Ok(form)
}
