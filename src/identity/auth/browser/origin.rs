//! Rejects requests from pages of another origin.

use axum::{
    extract::Request,
    http::{HeaderMap, Uri, header, uri::Authority},
    middleware::Next,
    response::Response,
};
use mainstay_kernel::error::{Error, Reason};

const FETCH_SITE: &str = "sec-fetch-site";

/// Forwards requests from pages of this origin and rejects all others.
pub(super) async fn require_same(request: Request, next: Next) -> Response {
    if is_same(request.headers(), request.uri()) {
        return next.run(request).await;
    }
    let message = "Only a page of this origin may ask for this; other clients sign in at /api/v1/auth/login.";
    super::refusal(Error::with_message(Reason::PermissionDenied, message))
}

/// Every current browser sends `Sec-Fetch-Site`, unless the page was loaded without TLS; then its `Origin` must name
/// the request's host. Scripts can set neither header.
fn is_same(headers: &HeaderMap, uri: &Uri) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text(FETCH_SITE) {
        return site == "same-origin";
    }
    let host = uri.authority().map(Authority::as_str).or_else(|| text(header::HOST.as_str()));
    let origin = text(header::ORIGIN.as_str()).and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(_, authority)| host.is_some_and(|host| host.eq_ignore_ascii_case(authority)))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn same(uri: &'static str, lines: &[(&'static str, &'static str)]) -> bool {
        let lines = lines.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a value")));
        is_same(&lines.collect(), &Uri::from_static(uri))
    }

    #[test]
    fn the_browser_says_where_a_request_comes_from() {
        assert!(same("/session", &[("sec-fetch-site", "same-origin")]));
        for other in ["same-site", "cross-site", "none", ""] {
            let lines = [("sec-fetch-site", other), ("origin", "http://a.example"), ("host", "a.example")];
            assert!(!same("/session", &lines), "{other}");
        }
    }

    #[test]
    fn without_that_the_origin_is_compared_with_the_host() {
        assert!(same("/session", &[("origin", "http://a.example:80"), ("host", "A.example:80")]));
        assert!(same("http://a.example/session", &[("origin", "http://a.example")]), "as HTTP/2 has it");
        assert!(!same("/session", &[("origin", "http://b.example"), ("host", "a.example")]));
        assert!(!same("/session", &[("origin", "http://a.example:81"), ("host", "a.example")]));
        assert!(!same("/session", &[("origin", "null"), ("host", "a.example")]));
        assert!(!same("/session", &[("host", "a.example")]), "neither header is there");
    }
}
