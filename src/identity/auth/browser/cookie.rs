//! The cookies with the refresh token and the device token (RFC 6265bis).

use std::time::Duration;

use axum::http::{HeaderMap, header};

/// The only paths that the browser sends the cookies to.
const PATH: &str = "/session";

/// A cookie, by its name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cookie(&'static str);

pub(super) const SESSION: Cookie = Cookie("mainstay_session");
pub(super) const DEVICE: Cookie = Cookie("mainstay_device");

impl Cookie {
    /// Reads the token. Two cookies of the name count as none: another host of the site may have set one of them.
    pub(super) fn read(self, headers: &HeaderMap) -> Option<&str> {
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut tokens = pairs.filter(|(name, _)| *name == self.0).map(|(_, token)| token);
        tokens.next().filter(|token| !token.is_empty() && tokens.next().is_none())
    }

    /// Returns the `Set-Cookie` that keeps a token.
    pub(super) fn set(self, headers: &HeaderMap, token: &str, life: Duration) -> String {
        self.write(headers, token, life.as_secs())
    }

    /// Returns the `Set-Cookie` that removes it.
    pub(super) fn clear(self, headers: &HeaderMap) -> String {
        self.write(headers, "", 0)
    }

    /// `Secure` unless the page itself came without TLS, as its origin says whether or not a proxy ends the TLS: without it
    /// the browser would not keep the cookie.
    fn write(self, headers: &HeaderMap, token: &str, age_s: u64) -> String {
        let plain = headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"http://"));
        let secure = if plain { "" } else { "; Secure" };
        format!("{}={token}; Path={PATH}; Max-Age={age_s}; HttpOnly; SameSite=Strict{secure}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn headers(lines: &[(HeaderName, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.clone(), value.parse().expect("a value"))).collect()
    }

    #[test]
    fn one_cookie_of_the_name_is_read() {
        let read = |lines: &[&'static str]| {
            let lines: Vec<_> = lines.iter().map(|line| (header::COOKIE, *line)).collect();
            SESSION.read(&headers(&lines)).map(str::to_owned)
        };
        assert_eq!(read(&["a=b; mainstay_session=t; c=d"]).as_deref(), Some("t"));
        assert_eq!(read(&["a=b", "mainstay_session=t=="]).as_deref(), Some("t=="));
        for none in [&[][..], &["mainstay_session="], &["Mainstay_session=t"], &["mainstay_session"]] {
            assert_eq!(read(none), None, "{none:?}");
        }
        for two in [&["mainstay_session=t; mainstay_session=u"][..], &["mainstay_session=t", "mainstay_session=t"]] {
            assert_eq!(read(two), None, "{two:?}");
        }
    }

    #[test]
    fn no_script_and_no_other_site_gets_it() {
        let life = Duration::from_secs(60);
        let secure = SESSION.set(&headers(&[(header::ORIGIN, "https://a.example")]), "t", life);
        assert_eq!(secure, "mainstay_session=t; Path=/session; Max-Age=60; HttpOnly; SameSite=Strict; Secure");
        assert_eq!(SESSION.set(&HeaderMap::new(), "t", life), secure, "secure unless the page says otherwise");
        assert!(!SESSION.set(&headers(&[(header::ORIGIN, "http://127.0.0.1:8080")]), "t", life).contains("Secure"));
        assert!(SESSION.clear(&HeaderMap::new()).starts_with("mainstay_session=; Path=/session; Max-Age=0;"));
    }
}
