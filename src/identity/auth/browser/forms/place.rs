//! The page that follows a sign-in.

use std::time::Duration;

use axum::http::HeaderMap;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mainstay_kernel::{app::App, module::Modules};
use url::{Position, Url, form_urlencoded};

use super::{DONE, cookie};
use crate::{
    identity::provider::model::{DEFAULT_PATH, return_path},
    mail,
};

/// The pages that a sign-in leads to, with the pages below them.
const ROOTS: [&str; 4] = ["/console", "/session/authorize", "/session/device", "/device"];

/// The page that follows a sign-in: a path of [`ROOTS`], or the page of the configuration. The text comes from a link, which anybody can
/// write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::identity::auth::browser) struct Place(String);

impl Place {
    /// Reads the path of a link. Any other text counts as none.
    pub(in crate::identity::auth::browser) fn read(app: &App, text: Option<&str>) -> Self {
        text.and_then(admitted).unwrap_or_else(|| Self(default(app)))
    }

    /// Reads the path of a page of this service that has no script to tell how a sign-in ended.
    pub(super) fn without_script(path: &str) -> Option<Self> {
        let done = || (path == DONE).then(|| Self(DONE.to_owned()));
        admitted(path).filter(|Self(path)| !path.starts_with("/console")).or_else(done)
    }

    /// Returns the lines of `Set-Cookie` that keep the page for links and pages that do not name it.
    pub(super) fn keep(&self, headers: &HeaderMap, is_tls: bool, life: Duration) -> Vec<String> {
        cookie::PLACE.set(headers, is_tls, &URL_SAFE_NO_PAD.encode(&self.0), life)
    }

    /// Returns the page that was kept.
    pub(in crate::identity::auth::browser) fn kept(app: &App, headers: &HeaderMap, is_tls: bool) -> Self {
        let kept = cookie::PLACE.read(headers, is_tls).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        Self::read(app, kept.and_then(|path| String::from_utf8(path).ok()).as_deref())
    }

    /// Returns the lines of `Set-Cookie` that remove it.
    pub(in crate::identity::auth::browser) fn forget(headers: &HeaderMap, is_tls: bool) -> Vec<String> {
        let is_kept = cookie::PLACE.read(headers, is_tls).is_some();
        if is_kept { cookie::PLACE.clear(headers, is_tls) } else { Vec::new() }
    }

    pub(in crate::identity::auth::browser) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns a page of the sign-in that leads to this one.
    pub(super) fn on(&self, page: &str) -> String {
        on(page, &self.0)
    }

    /// Returns the path at which a sign-in with a provider begins that leads to this page.
    pub(super) fn by_provider(&self, name: &str) -> String {
        format!("/auth/oidc/{name}?{}", self.provider_query())
    }

    /// Returns the query of that path. An application that wants a new sign-in learns its time only if the provider authenticates
    /// the person again.
    pub(super) fn provider_query(&self) -> String {
        // A provider leads to a page of this server, which leads to the front end.
        let path = if self.0.starts_with('/') { &self.0 } else { DONE };
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("return", path);
        if self.wants_new_sign_in() {
            query.append_pair("fresh", "");
        }
        query.finish()
    }

    fn wants_new_sign_in(&self) -> bool {
        let query = self.0.split_once('?').map(|(_, query)| query).unwrap_or_default();
        form_urlencoded::parse(query.as_bytes()).any(|(name, value)| match &*name {
            "max_age" => true,
            "prompt" => value.split(' ').any(|wish| matches!(wish, "login" | "select_account")),
            _ => false,
        })
    }
}

pub(super) fn on(page: &str, path: &str) -> String {
    let mut url = form_urlencoded::Serializer::for_suffix(format!("{page}?"), page.len() + 1);
    url.append_pair("return", path);
    url.finish()
}

/// Returns the page of the console that adds or asks for a second factor, and leads to a path; `None` without the console.
pub(crate) fn enrolment_before(app: &App, path: &str) -> Option<String> {
    Modules::of(app).has("console").then(|| on(DEFAULT_PATH, path))
}

/// Returns the page as a browser understands its path: it resolves dots, and drops line breaks. A sign-in with a provider returns
/// to the same pages.
fn admitted(text: &str) -> Option<Place> {
    if !text.starts_with('/') {
        return None;
    }
    let server = Url::parse("http://localhost").ok()?;
    let url = server.join(text).ok().filter(|url| url.origin() == server.origin())?;
    let is_page =
        |root: &&str| url.path().strip_prefix(*root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if !ROOTS.iter().any(is_page) {
        return None;
    }
    return_path(Some(&url[Position::BeforePath..Position::AfterQuery]), &[]).ok().map(Place)
}

/// Returns the console, the front end, or else the page that says that the person is signed in.
fn default(app: &App) -> String {
    if Modules::of(app).has("console") {
        return DEFAULT_PATH.to_owned();
    }
    mail::front_end(&app.config).unwrap_or(DONE).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_the_sign_in_follow_it() {
        for path in [
            "/console",
            "/console/",
            "/console/tickets?q=a%20b",
            "/session/authorize?client_id=a&scope=b",
            "/device?c=1",
        ] {
            assert_eq!(admitted(path), Some(Place(path.to_owned())), "{path}");
        }
        let [long, escaped] = [("x", 2000), ("ü", 400)].map(|(text, count)| format!("/console/{}", text.repeat(count)));
        for path in [
            "",
            "console/",
            "https://evil.example/console/",
            "//evil.example/console/",
            "/\\evil.example/console/",
            "/\t/evil.example/console/",
            "\\\\evil.example/console/",
            "/console/../files/x",
            "/console/%2e%2e/files/x",
            "/consoles",
            "/session/refresh",
            "/session/sign-in",
            "/auth/oidc/corp",
            "javascript:alert(1)",
            "/console/?q=\\",
            long.as_str(),
            escaped.as_str(),
        ] {
            assert_eq!(admitted(path), None, "{path}");
        }
        assert_eq!(admitted("/console/#x"), Some(Place("/console/".to_owned())));
        assert_eq!(admitted("/console/a\r\nb"), Some(Place("/console/ab".to_owned())), "as a browser reads it");
    }

    #[test]
    fn an_application_asks_the_provider_for_a_new_sign_in() {
        let query = |path: &str| admitted(path).expect("a page").provider_query();
        assert_eq!(query("/console/a?b=c"), "return=%2Fconsole%2Fa%3Fb%3Dc");
        for wish in ["max_age=60", "prompt=login", "prompt=consent+login", "prompt=select_account"] {
            assert!(query(&format!("/session/authorize?{wish}")).ends_with("&fresh="), "{wish}");
        }
        assert!(!query("/session/authorize?prompt=consent&state=max_age").contains("fresh"));
    }

    #[test]
    fn a_provider_leads_pages_with_a_script_back_directly() {
        for path in ["/console/", "/shop"] {
            assert_eq!(Place::without_script(path), None, "{path}");
        }
        assert_eq!(Place::without_script(DONE), Some(Place(DONE.to_owned())));
        let place = Place::without_script("/session/authorize?a=b").expect("a page");
        assert_eq!(place.on("/session/sign-in"), "/session/sign-in?return=%2Fsession%2Fauthorize%3Fa%3Db");
    }
}
