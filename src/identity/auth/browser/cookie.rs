//! The cookies with the refresh token and the device token (RFC 6265bis).

use std::time::Duration;

use axum::http::{HeaderMap, header};

/// The only paths that the browser sends the plain cookies to.
const PLAIN_PATH: &str = "/session";

/// A cookie, by its two names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cookie {
    /// The name over TLS. A browser accepts a cookie with this prefix only if it is `Secure` and bound to exactly this
    /// host (RFC 6265bis, 4.1.3.2), so that no other host of the site can set or replace it.
    name: &'static str,
    /// The name without TLS, for development, and the former name of cookies that were set before the prefix was
    /// introduced.
    plain_name: &'static str,
}

pub(super) const SESSION: Cookie = Cookie { name: "__Host-mainstay_session", plain_name: "mainstay_session" };
pub(super) const DEVICE: Cookie = Cookie { name: "__Host-mainstay_device", plain_name: "mainstay_device" };

impl Cookie {
    /// Reads the token. The plain cookie counts only if the prefixed cookie is absent, and is replaced by it over TLS.
    /// Two cookies of one name count as none, because another host of the site may have set one of them.
    pub(super) fn read(self, headers: &HeaderMap) -> Option<&str> {
        let name = if of_name(headers, self.name).next().is_some() { self.name } else { self.plain_name };
        let mut tokens = of_name(headers, name);
        tokens.next().filter(|token| !token.is_empty() && tokens.next().is_none())
    }

    /// Returns the `Set-Cookie` lines that store a token.
    pub(super) fn set(self, headers: &HeaderMap, token: &str, life: Duration) -> Vec<String> {
        self.lines(headers, token, life.as_secs())
    }

    /// Returns the `Set-Cookie` lines that remove the token.
    pub(super) fn clear(self, headers: &HeaderMap) -> Vec<String> {
        self.lines(headers, "", 0)
    }

    /// The cookie is `Secure` unless the page's origin is without TLS; the origin is correct even behind a proxy that
    /// terminates TLS. Not every browser keeps a secure cookie of `http://localhost`.
    fn lines(self, headers: &HeaderMap, token: &str, age_s: u64) -> Vec<String> {
        let plain = |token: &str, age_s: u64, secure: &str| {
            let name = self.plain_name;
            format!("{name}={token}; Path={PLAIN_PATH}; Max-Age={age_s}; HttpOnly; SameSite=Strict{secure}")
        };
        if headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"http://")) {
            return vec![plain(token, age_s, "")];
        }
        let name = self.name;
        let mut lines = vec![format!("{name}={token}; Path=/; Max-Age={age_s}; HttpOnly; SameSite=Strict; Secure")];
        if of_name(headers, self.plain_name).next().is_some() {
            lines.push(plain("", 0, "; Secure"));
        }
        lines
    }
}

fn of_name<'a>(headers: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(move |(found, _)| *found == name).map(|(_, token)| token)
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
        assert_eq!(read(&["a=b; __Host-mainstay_session=t; c=d"]).as_deref(), Some("t"));
        assert_eq!(read(&["a=b", "mainstay_session=t=="]).as_deref(), Some("t=="));
        let both = ["mainstay_session=planted; __Host-mainstay_session=t", "mainstay_session=u"];
        assert_eq!(read(&both).as_deref(), Some("t"), "another host can't set this one");
        for none in [&[][..], &["mainstay_session="], &["Mainstay_session=t"], &["mainstay_session"], &["__Host-x=t"]] {
            assert_eq!(read(none), None, "{none:?}");
        }
        for two in [
            &["mainstay_session=t; mainstay_session=u"][..],
            &["mainstay_session=t", "mainstay_session=t"],
            &["__Host-mainstay_session=t; __Host-mainstay_session=u; mainstay_session=v"],
        ] {
            assert_eq!(read(two), None, "{two:?}");
        }
    }

    #[test]
    fn no_script_and_no_other_site_gets_it() {
        let life = Duration::from_secs(60);
        let secure = SESSION.set(&headers(&[(header::ORIGIN, "https://a.example")]), "t", life);
        assert_eq!(secure, ["__Host-mainstay_session=t; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure"]);
        assert_eq!(SESSION.set(&HeaderMap::new(), "t", life), secure, "secure unless the page says otherwise");
        let plain = SESSION.set(&headers(&[(header::ORIGIN, "http://127.0.0.1:8080")]), "t", life);
        assert_eq!(plain, ["mainstay_session=t; Path=/session; Max-Age=60; HttpOnly; SameSite=Strict"]);
        assert!(SESSION.clear(&HeaderMap::new())[0].starts_with("__Host-mainstay_session=; Path=/; Max-Age=0;"));
    }

    /// A session continues under the new name; the browser drops the old cookie.
    #[test]
    fn a_cookie_of_the_former_name_is_replaced() {
        let headers = headers(&[(header::ORIGIN, "https://a.example"), (header::COOKIE, "mainstay_session=t")]);
        assert_eq!(SESSION.read(&headers), Some("t"));
        for lines in [SESSION.set(&headers, "u", Duration::from_secs(60)), SESSION.clear(&headers)] {
            assert!(lines[0].starts_with("__Host-mainstay_session="), "{lines:?}");
            assert_eq!(lines[1], "mainstay_session=; Path=/session; Max-Age=0; HttpOnly; SameSite=Strict; Secure");
            assert_eq!(lines.len(), 2);
        }
    }
}
