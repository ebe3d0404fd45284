//! The forms.

use axum::{
    body::to_bytes,
    extract::Request,
    http::{HeaderMap, HeaderName, header},
};

/// The most bytes of a form.
const MAX_BYTES: usize = 8 << 10;

/// What a form sent. It may hold secrets.
#[derive(Clone, Default)]
pub(super) struct Form {
    pub(super) token: String,
    pub(super) password: String,
    pub(super) name: String,
    pub(super) email: String,
}

/// Whether a request is a form that a page of this origin sent. A browser says where a form comes from
/// (`Sec-Fetch-Site`); what says nothing is no browser, and has no user to deceive.
fn is_own_form(headers: &HeaderMap) -> bool {
    let header = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let site = header(HeaderName::from_static("sec-fetch-site"));
    let media_type = header(header::CONTENT_TYPE).and_then(|value| value.split(';').next()).map(str::trim);
    site.is_none_or(|site| matches!(site, "same-origin" | "none"))
        && media_type.is_some_and(|kind| kind.eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

/// Reads a form; `None` for any other request, and for a form of another origin.
pub(super) async fn read(request: Request) -> Option<Form> {
    if !is_own_form(request.headers()) {
        return None;
    }
    let body = to_bytes(request.into_body(), MAX_BYTES).await.ok()?;
    let mut form = Form::default();
    for (name, value) in url::form_urlencoded::parse(&body) {
        match &*name {
            "token" => form.token = value.into_owned(),
            "password" => form.password = value.into_owned(),
            "name" => form.name = value.into_owned(),
            "email" => form.email = value.into_owned(),
            _ => {}
        }
    }
    Some(form)
}
