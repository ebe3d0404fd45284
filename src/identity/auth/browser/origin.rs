//! Rejects requests from pages of other origins, except for those of the site that the configuration names.

use axum::{
    extract::{Request, State},
    handler::Handler as _,
    http::{HeaderMap, Uri, header, uri::Authority},
    routing::{MethodRouter, any},
};
use mainstay_kernel::{
    app::App,
    error::{Error, Reason},
};

use crate::identity::config::IdentityConfig;

const FETCH_SITE: &str = "sec-fetch-site";

/// Wraps a page so that it receives only requests of pages of this origin and of `SESSION_ORIGINS`.
pub(super) fn of_admitted_pages(page: MethodRouter<App>) -> MethodRouter<App> {
    any(move |State(app): State<App>, request: Request| async move {
        let others = &app.config.section::<IdentityConfig>().session_origins;
        if !is_admitted(request.headers(), request.uri(), others) {
            let message = "Only a page of this origin, or of SESSION_ORIGINS, may ask for this; other clients sign in at \
                           /api/v1/auth/login.";
            return super::refusal(Error::with_message(Reason::PermissionDenied, message));
        }
        page.call(request, app).await
    })
}

/// Every current browser sends `Sec-Fetch-Site`, unless the page was loaded without TLS; then its `Origin` must name
/// the request's host. Scripts can set neither header. The page of another origin must be of the same site, because the
/// cookies are sent to no other, and its `Origin` must be one of `others`.
fn is_admitted(headers: &HeaderMap, uri: &Uri, others: &[String]) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let origin = text(header::ORIGIN.as_str());
    let is_other = origin.is_some_and(|origin| others.iter().any(|other| other == origin));
    if let Some(site) = text(FETCH_SITE) {
        return site == "same-origin" || (site == "same-site" && is_other);
    }
    let host = uri.authority().map(Authority::as_str).or_else(|| text(header::HOST.as_str()));
    let authority = origin.and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    is_other || authority.is_some_and(|authority| host.is_some_and(|host| host.eq_ignore_ascii_case(authority)))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn same(uri: &'static str, lines: &[(&'static str, &'static str)]) -> bool {
        let lines = lines.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a value")));
        is_admitted(&lines.collect(), &Uri::from_static(uri), &["https://app.a.example".to_owned()])
    }

    #[test]
    fn a_named_page_of_the_site_is_admitted() {
        let from = |site: &'static str, origin: &'static str| {
            same("/session", &[("sec-fetch-site", site), ("origin", origin), ("host", "api.a.example")])
        };
        assert!(from("same-site", "https://app.a.example"));
        assert!(!from("cross-site", "https://app.a.example"), "a browser that does not know the site");
        for other in ["https://evil.a.example", "http://app.a.example", "https://app.a.example:8443", "null", ""] {
            assert!(!from("same-site", other), "{other}");
        }
        let old = |origin| same("/session", &[("origin", origin), ("host", "api.a.example")]);
        assert!(old("https://app.a.example") && !old("https://evil.a.example"), "a browser without the header");
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
