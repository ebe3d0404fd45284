//! The cookies with the refresh token and the device token (RFC 6265bis).

use std::time::Duration;

use axum::http::{HeaderMap, header};

/// The only paths that the browser sends the plain cookies of a session to.
const SESSION_PATH: &str = "/session";

/// A cookie, by its two names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cookie {
    /// The name over TLS. A browser accepts a cookie with this prefix only if it is `Secure` and bound to exactly this
    /// host (RFC 6265bis, 4.1.3.2), so that no other host of the site can set or replace it.
    name: &'static str,
    /// The name without TLS, for development. Over TLS it is not read, because every host of the site can set it, also
    /// an attacker in the network who answers for one without TLS.
    plain_name: &'static str,
    /// The only path that the browser sends the plain cookie to.
    plain_path: &'static str,
    /// With which requests of other sites the browser sends the cookie.
    same_site: &'static str,
}

pub(super) const SESSION: Cookie = strict("__Host-mainstay_session", "mainstay_session");
pub(super) const DEVICE: Cookie = strict("__Host-mainstay_device", "mainstay_device");
/// The challenge of a sign-in with a provider that awaits the code of a second factor.
pub(super) const CHALLENGE: Cookie = strict("__Host-mainstay_challenge", "mainstay_challenge");
/// A sign-in with a passkey that has begun.
pub(super) const PASSKEY: Cookie = strict("__Host-mainstay_passkey", "mainstay_passkey");
/// The secret that binds a sign-in by mail to this browser.
pub(super) const MAIL: Cookie = strict("__Host-mainstay_mail_login", "mainstay_mail_login");
/// The page that follows a sign-in, for links and pages that do not name it.
pub(super) const PLACE: Cookie = strict("__Host-mainstay_place", "mainstay_place");
/// A sign-in with a provider, whose page leads back.
pub(super) const PROVIDER: Cookie = Cookie {
    name: "__Host-mainstay_provider",
    plain_name: "mainstay_provider",
    plain_path: "/auth/oidc",
    same_site: "Lax",
};

const fn strict(name: &'static str, plain_name: &'static str) -> Cookie {
    Cookie { name, plain_name, plain_path: SESSION_PATH, same_site: "Strict" }
}

impl Cookie {
    /// Returns the cookie that the browser also sends with forms of other sites.
    pub(super) fn across_sites(self) -> Self {
        Self { same_site: "None", ..self }
    }

    /// Reads the token, over TLS that of the name with the prefix only. Two cookies of a name count as none: another host of
    /// the site may have set one of them.
    pub(super) fn read(self, headers: &HeaderMap, is_tls: bool) -> Option<&str> {
        let name = if is_tls || of_name(headers, self.name).next().is_some() { self.name } else { self.plain_name };
        let mut tokens = of_name(headers, name);
        tokens.next().filter(|token| !token.is_empty() && tokens.next().is_none())
    }

    /// Returns the lines of `Set-Cookie` that keep a token.
    pub(super) fn set(self, headers: &HeaderMap, is_tls: bool, token: &str, life: Duration) -> Vec<String> {
        self.lines(headers, is_tls, token, life.as_secs())
    }

    /// Returns the lines of `Set-Cookie` that remove it.
    pub(super) fn clear(self, headers: &HeaderMap, is_tls: bool) -> Vec<String> {
        self.lines(headers, is_tls, "", 0)
    }

    fn lines(self, headers: &HeaderMap, is_tls: bool, token: &str, age_s: u64) -> Vec<String> {
        let same_site = self.same_site;
        let plain = |token: &str, age_s: u64, secure: &str| {
            let (name, path) = (self.plain_name, self.plain_path);
            format!("{name}={token}; Path={path}; Max-Age={age_s}; HttpOnly; SameSite={same_site}{secure}")
        };
        if !is_tls {
            return vec![plain(token, age_s, "")];
        }
        let name = self.name;
        let mut lines =
            vec![format!("{name}={token}; Path=/; Max-Age={age_s}; HttpOnly; SameSite={same_site}; Secure")];
        if of_name(headers, self.plain_name).next().is_some() {
            lines.push(plain("", 0, "; Secure"));
        }
        lines
    }
}

/// Returns whether the page came with TLS, as its origin says whether or not a proxy ends the TLS. Without TLS, the cookie
/// can't be `Secure`: not every browser keeps a secure cookie of `http://localhost`.
pub(super) fn is_of_tls_page(headers: &HeaderMap) -> bool {
    !headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"http://"))
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
            SESSION.read(&headers(&lines), false).map(str::to_owned)
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
        let set = |is_tls| SESSION.set(&HeaderMap::new(), is_tls, "t", life);
        assert_eq!(set(true), ["__Host-mainstay_session=t; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure"]);
        assert_eq!(set(false), ["mainstay_session=t; Path=/session; Max-Age=60; HttpOnly; SameSite=Strict"]);
        assert!(SESSION.clear(&HeaderMap::new(), true)[0].starts_with("__Host-mainstay_session=; Path=/; Max-Age=0;"));
    }

    #[test]
    fn the_page_says_whether_it_came_with_tls() {
        let of = |origin| is_of_tls_page(&headers(&[(header::ORIGIN, origin)]));
        assert!(of("https://a.example") && is_of_tls_page(&HeaderMap::new()), "unless the page says otherwise");
        assert!(!of("http://127.0.0.1:8080"));
    }

    /// An attacker in the network who answers for a host of the site without TLS can set the plain cookie.
    #[test]
    fn over_tls_the_plain_cookie_counts_as_none_and_is_removed() {
        let headers = headers(&[(header::COOKIE, "mainstay_session=planted")]);
        assert_eq!((SESSION.read(&headers, true), SESSION.read(&headers, false)), (None, Some("planted")));
        for lines in [SESSION.set(&headers, true, "u", Duration::from_secs(60)), SESSION.clear(&headers, true)] {
            assert!(lines[0].starts_with("__Host-mainstay_session="), "{lines:?}");
            assert_eq!(lines[1], "mainstay_session=; Path=/session; Max-Age=0; HttpOnly; SameSite=Strict; Secure");
            assert_eq!(lines.len(), 2);
        }
    }
}
