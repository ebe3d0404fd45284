//! The state of a sign-in with a provider, and the rules for what the provider says.

mod claims;
mod keys;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use url::form_urlencoded;
use uuid::Uuid;

use crate::identity::account_provider::id::AccountProviderId;
use mainstay_kernel::{
    error::{Error, Result},
    id::{SessionId, UserId},
    secret::{SecretKey, random},
};

pub use claims::{Audience, Claims, Expected, truth};
pub use keys::{KeySet, TokenFault};

/// How long a person has to sign in at the provider.
pub const LIFE: TimeDelta = TimeDelta::minutes(10);
/// The page after a sign-in that names none.
pub const DEFAULT_PATH: &str = "/console/";

const MAX_PATH_BYTES: usize = 2000;
const LABEL: &str = "provider sign-ins v1";

/// A person, as a provider knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The provider of an account that names the person; `None` for one of the configuration. It identifies the person together
    /// with the issuer and the subject.
    pub provider: Option<AccountProviderId>,
    pub issuer: String,
    pub subject: String,
    pub email: Option<String>,
    /// Whether the provider has verified that the person has the address; `None` if it does not say.
    pub is_verified: Option<bool>,
    pub name: Option<String>,
    /// The Google Workspace of the person, by its primary domain.
    pub hosted_domain: Option<String>,
    /// The groups of the person at the provider of an account.
    pub groups: Vec<String>,
    /// When the person authenticated at the provider; `None` if it does not say, because it may be long ago.
    pub authenticated_at: Option<DateTime<Utc>>,
}

/// What a sign-in at a provider is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Intent {
    /// Begins a session.
    SignIn,
    /// Links the person to the user of a session.
    Link { user: Uuid, session: Uuid },
}

impl Intent {
    /// Links the person to the user of a session.
    pub fn link(user: UserId, session: SessionId) -> Self {
        Self::Link { user: user.0, session: session.0 }
    }
}

/// A sign-in that has begun. It is sealed in a cookie, so that only the browser in which it began completes it, and the server
/// stores nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The name of the provider.
    pub provider: String,
    /// Binds the response of the provider to the cookie.
    pub state: String,
    /// Binds the ID token to the cookie.
    pub nonce: String,
    /// Binds the code to the cookie (PKCE, RFC 7636).
    pub verifier: String,
    /// The page afterwards.
    pub return_path: String,
    pub intent: Intent,
    /// The token of the device. The browser withholds its cookie when it returns from the provider, but not at the beginning.
    pub device_token: Option<String>,
    expires_at: i64,
}

impl Attempt {
    /// Begins a sign-in.
    pub fn begin(provider: &str, return_path: String, intent: Intent, now: DateTime<Utc>) -> Self {
        let secret = || URL_SAFE_NO_PAD.encode(random::<32>());
        Self {
            provider: provider.to_owned(),
            state: secret(),
            nonce: secret(),
            verifier: secret(),
            return_path,
            intent,
            device_token: None,
            expires_at: (now + LIFE).timestamp(),
        }
    }

    /// Returns the sign-in of a device with a token.
    #[must_use]
    pub fn of_device(self, device_token: Option<String>) -> Self {
        Self { device_token, ..self }
    }

    /// Returns the code challenge of the verifier (RFC 7636, 4.2).
    pub fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(&self.verifier))
    }

    /// Seals the sign-in for the cookie.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` if the cipher fails.
    pub fn seal(&self, secret: &SecretKey) -> Result<String> {
        let plain = serde_json::to_vec(self).map_err(Error::internal)?;
        Ok(URL_SAFE_NO_PAD.encode(secret.seal(LABEL, &plain)?))
    }

    /// Opens a cookie; `None` if this service did not seal it, or if it has expired.
    pub fn open(secret: &SecretKey, cookie: &str, now: DateTime<Utc>) -> Option<Self> {
        let sealed = URL_SAFE_NO_PAD.decode(cookie).ok()?;
        let plain = secret.unseal(LABEL, &sealed)?;
        let attempt: Self = serde_json::from_slice(plain.expose_secret()).ok()?;
        (now.timestamp() < attempt.expires_at).then_some(attempt)
    }

    /// Returns whether a response of a provider belongs to the sign-in.
    pub fn admits(&self, provider: &str, state: Option<&str>) -> bool {
        let state = state.unwrap_or_default();
        self.provider == provider && bool::from(self.state.as_bytes().ct_eq(state.as_bytes()))
    }
}

/// The response of a provider, which the browser brings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    pub state: Option<String>,
    pub code: Option<String>,
    pub error: Option<String>,
    /// The issuer (RFC 9207).
    pub iss: Option<String>,
}

impl Answer {
    /// Parses a query or a form. A parameter that occurs twice is absent (RFC 6749, 3.1).
    pub fn parse(query: &str) -> Self {
        let of_name = |name: &str| {
            let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
            let first = values.next().map(|(_, value)| value.into_owned());
            first.filter(|value| !value.is_empty() && values.next().is_none())
        };
        Self { state: of_name("state"), code: of_name("code"), error: of_name("error"), iss: of_name("iss") }
    }
}

/// Reads the page to show afterwards: a path of this origin, with a query at most, or a page of one of `origins`. A browser takes
/// `//host` and `/\host` for other origins.
///
/// # Errors
/// `VALIDATION_FAILED`.
pub fn return_path(text: Option<&str>, origins: &[String]) -> Result<String> {
    let place = text.unwrap_or(DEFAULT_PATH);
    // A prefix alone may be that of another host or port.
    let mut paths = origins.iter().filter_map(|origin| place.strip_prefix(&**origin));
    let path = paths.find(|path| path.starts_with('/')).unwrap_or(place);
    let mut letters = path.bytes();
    let is_rooted = letters.next() == Some(b'/') && letters.next() != Some(b'/');
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\' && byte != b'#';
    if place.len() <= MAX_PATH_BYTES && is_rooted && path.bytes().all(is_plain) {
        return Ok(place.to_owned());
    }
    Err(Error::field("return", "must be a path of this origin, or a page of SESSION_ORIGINS"))
}

/// Returns a page with a parameter, which says how the sign-in ended.
pub fn with_parameter(path: &str, name: &str, value: &str) -> String {
    let separator = if path.contains('?') { '&' } else { '?' };
    format!("{path}{separator}{name}={value}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + seconds, 0).expect("a time")
    }

    #[test]
    fn a_cookie_is_of_one_service_and_expires() {
        let (secret, other) = (SecretKey::new([1; 32]), SecretKey::new([2; 32]));
        let attempt = Attempt::begin("corp", "/console/".to_owned(), Intent::SignIn, at(0));
        let cookie = attempt.seal(&secret).expect("sealed");
        assert!(!cookie.contains("corp") && cookie.len() < 1000, "{cookie}");
        assert_eq!(Attempt::open(&secret, &cookie, at(599)), Some(attempt.clone()));
        assert_eq!(Attempt::open(&secret, &cookie, at(600)), None, "expired");
        assert_eq!(Attempt::open(&other, &cookie, at(0)), None, "of another service");
        for bad in ["", "nonsense", &cookie[..cookie.len() - 4]] {
            assert_eq!(Attempt::open(&secret, bad, at(0)), None, "{bad}");
        }
        assert!(attempt.admits("corp", Some(&attempt.state)));
        assert!(!attempt.admits("google", Some(&attempt.state)), "the response of another provider");
        for foreign in [None, Some(""), Some("foreign"), Some(&attempt.state[1..])] {
            assert!(!attempt.admits("corp", foreign), "{foreign:?}");
        }
        let next = Attempt::begin("corp", "/console/".to_owned(), Intent::SignIn, at(0));
        assert!(next.state != attempt.state && next.nonce != attempt.nonce && next.verifier != attempt.verifier);
        assert_eq!(attempt.verifier.len(), 43, "RFC 7636, 4.1");
    }

    #[test]
    fn the_code_challenge_is_that_of_rfc_7636() {
        let attempt = Attempt::begin("corp", String::new(), Intent::SignIn, at(0));
        let attempt = Attempt { verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned(), ..attempt };
        assert_eq!(attempt.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn only_a_path_of_this_origin_is_returned_to() {
        for good in ["/", "/console/", "/console/tickets?status=open&page=2", "/a//b"] {
            assert_eq!(return_path(Some(good), &[]).expect("a path"), good);
        }
        assert_eq!(return_path(None, &[]).expect("a path"), DEFAULT_PATH);
        for bad in [
            "",
            "console",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https:evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/\tevil",
            "/\n/evil.example",
            "/ü",
            "/a b",
            "/a#b",
            &format!("/{}", "a".repeat(2000)),
        ] {
            assert!(return_path(Some(bad), &[]).is_err(), "{bad:?}");
        }
        assert_eq!(with_parameter("/console/", "a", "B"), "/console/?a=B");
        assert_eq!(with_parameter("/console/?x=1", "a", "B"), "/console/?x=1&a=B");
    }

    #[test]
    fn a_sign_in_returns_to_a_named_front_end() {
        let origins = ["https://a.example", "https://a.example:8443"].map(str::to_owned);
        let read = |text: &str| return_path(Some(text), &origins);
        for good in ["https://a.example/", "https://a.example:8443/start?x=1", "/console/"] {
            assert_eq!(read(good).expect("a page"), good);
        }
        for bad in [
            "https://a.example",
            "https://a.example.evil.example/",
            "https://a.example@evil.example/",
            "https://a.example:1/",
            "https://a.example//evil.example",
            "http://a.example/",
            "https://b.example/",
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_parameter_that_occurs_twice_is_absent() {
        let answer = Answer::parse("state=a%20b&code=c&code=d&scope=openid&iss=https%3A%2F%2Fid.example&error=");
        let iss = Some("https://id.example".to_owned());
        assert_eq!(answer, Answer { state: Some("a b".to_owned()), code: None, error: None, iss });
    }
}
