//! URLs that users supply and the server calls.

use url::Url;

use crate::error::{Error, Result};

/// The maximum length of a URL, in ASCII characters.
const LONGEST_URL: usize = 2048;

/// Normalizes the URL of a field that the server calls: https to a host given by name, or any http or https URL if private
/// networks are allowed. The host is not resolved; [`Receivers`](super::Receivers) checks its addresses at each call.
///
/// # Errors
/// `VALIDATION_FAILED`.
pub fn check_url(field: &'static str, url: &str, allow_private: bool) -> Result<String> {
    let refuse = |why: &str| Err(Error::field(field, why));
    let Ok(parsed) = Url::parse(url) else { return refuse("must be a URL") };
    match parsed.scheme() {
        "https" => {}
        "http" if allow_private => {}
        _ => return refuse("must be https"),
    }
    if !parsed.username().is_empty() || parsed.password().is_some() || parsed.fragment().is_some() {
        return refuse("must have no user, password or fragment");
    }
    match parsed.host() {
        Some(url::Host::Domain(name)) if allow_private || !name.trim_end_matches('.').ends_with("localhost") => {}
        Some(url::Host::Ipv4(_) | url::Host::Ipv6(_)) if allow_private => {}
        _ => return refuse("must name a public host"),
    }
    let url = String::from(parsed);
    if url.len() > LONGEST_URL { refuse("must have at most 2048 characters once it is encoded") } else { Ok(url) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, allow_private: bool) -> Result<String> {
        check_url("url", url, allow_private)
    }

    #[test]
    fn only_public_https_urls_are_accepted() {
        for good in ["https://example.com/hooks?x=1", "https://example.com:8443"] {
            assert!(check(good, false).is_ok(), "{good}");
        }
        for bad in [
            "http://example.com",
            "https://localhost/",
            "https://a.localhost./",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://[::1]/",
            "https://8.8.8.8/",
            "https://user@example.com/",
            "https://example.com/#a",
            "ftp://example.com/",
            "example.com",
            "",
        ] {
            assert!(check(bad, false).is_err(), "{bad}");
        }
        assert!(check("http://127.0.0.1:8080/hook", true).is_ok());
    }

    #[test]
    fn urls_are_normalized() {
        for (url, expected) in [
            ("https://b\u{fc}cher.example/h\u{f6}k", "https://xn--bcher-kva.example/h%C3%B6k"),
            (" https://example.com/a b", "https://example.com/a%20b"),
            ("HTTPS://Example.COM", "https://example.com/"),
        ] {
            assert_eq!(check(url, false).expect(url), expected);
        }
        let long = format!("https://example.com/{}", "\u{fc}".repeat(400));
        check(&long, false).expect_err("six characters for each");
    }
}
