//! Authorization requests (RFC 6749, 4.1.1; OpenID Connect Core 1.0, 3.1.2.1), codes, consents and sign-outs.

mod logout;

pub mod device;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use mainstay_kernel::id::{SessionId, UserId};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use url::{Url, form_urlencoded};

use self::device::Agreement;
use crate::identity::{
    member::id::MemberId,
    oauth_client::{id::OauthClientId, model::OauthClient},
};

pub use logout::Logout;

/// How long a code is valid.
pub const CODE_LIFE: TimeDelta = TimeDelta::seconds(60);
/// The maximum length of an authorization request, in bytes: a sign-in returns to it by a path of at most 2,000 bytes.
const MAX_REQUEST_BYTES: usize = 1800;
/// The maximum length of a nonce, in bytes.
const MAX_NONCE_BYTES: usize = 500;

/// The maximum number of parameters of a request.
const MAX_PARAMETERS: usize = 50;

/// The parameters of a request that this service knows. Others are ignored.
const KNOWN: [&str; 15] = [
    "client_id",
    "redirect_uri",
    "response_type",
    "response_mode",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "prompt",
    "max_age",
    "request",
    "request_uri",
    // These are added by this service: when the application asked, and how a sign-in on the way ended.
    ASKED,
    "resource",
];
const ASKED: &str = "asked";

/// The parameters of a query or a form, each at most once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Parses parameters; `None` if there are too many, or one of them is there twice (RFC 6749, 3.1). An empty one counts as
    /// absent.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(text) {
            if pairs.len() == MAX_PARAMETERS || pairs.iter().any(|(other, _)| *other == name) {
                return None;
            }
            pairs.push((name.into_owned(), value.into_owned()));
        }
        Some(Self(pairs))
    }

    /// Returns a parameter.
    pub fn get(&self, wanted: &str) -> Option<&str> {
        let pair = self.0.iter().find(|(name, value)| name == wanted && !value.is_empty());
        pair.map(|(_, value)| value.as_str())
    }

    /// Returns the client that a parameter names.
    pub fn client(&self) -> Option<OauthClientId> {
        self.get("client_id")?.parse().ok().map(OauthClientId)
    }

    /// Returns the query of an authorization request that an application sent at a time; `None` if it is too long.
    pub fn begun(&self, now: DateTime<Utc>) -> Option<String> {
        let asked = now.timestamp().to_string();
        let known = self.known(&KNOWN).filter(|(name, _)| *name != ASKED).chain([(ASKED, asked.as_str())]);
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(known).finish();
        Some(query).filter(|query| query.len() <= MAX_REQUEST_BYTES)
    }

    /// Returns the parameters with these names.
    fn known<'p>(&'p self, names: &'static [&'static str]) -> impl Iterator<Item = (&'p str, &'p str)> {
        let pairs = self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        pairs.filter(|(name, _)| names.contains(name))
    }
}

/// Why a request is refused, by the code that the application receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    InvalidRequest,
    UnsupportedResponseType,
    RequestNotSupported,
    RequestUriNotSupported,
    AccessDenied,
    LoginRequired,
    ConsentRequired,
}

impl Refusal {
    /// Returns the code (RFC 6749, 4.1.2.1; OpenID Connect Core 1.0, 3.1.2.6).
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
            Self::AccessDenied => "access_denied",
            Self::LoginRequired => "login_required",
            Self::ConsentRequired => "consent_required",
        }
    }
}

/// Where an authorization leads back to. The client and the address are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Return {
    pub uri: String,
    pub state: Option<String>,
}

impl Return {
    /// Returns the host of the address, which the person sees.
    pub fn host(&self) -> Option<String> {
        self.uri.parse::<Url>().ok()?.host_str().map(str::to_owned)
    }

    /// Returns the address with a result, which has the issuer against mix-up (RFC 9207).
    pub fn url(&self, issuer: &str, (name, value): (&str, &str)) -> String {
        // The address of a client is a URL.
        let Ok(mut url) = self.uri.parse::<Url>() else { return self.uri.clone() };
        let mut pairs = url.query_pairs_mut();
        pairs.append_pair(name, value);
        if let Some(state) = &self.state {
            pairs.append_pair("state", state);
        }
        pairs.append_pair("iss", issuer);
        drop(pairs);
        url.into()
    }
}

/// An authorization request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub back: Return,
    pub scopes: Vec<String>,
    pub nonce: Option<String>,
    /// SHA-256 of the PKCE verifier.
    pub challenge: [u8; 32],
    /// Whether no page may be shown.
    pub is_silent: bool,
    /// Whether the person is asked for the consent again.
    pub asks_consent: bool,
    /// The earliest time at which the person may have signed in.
    pub signed_in_since: Option<DateTime<Utc>>,
}

impl Request {
    /// Reads the request of a client.
    ///
    /// # Errors
    /// `None` if the address is not that of the client, to which nothing may be sent; otherwise the refusal for the address.
    pub fn read(
        parameters: &Parameters,
        client: &OauthClient,
        now: DateTime<Utc>,
    ) -> Result<Self, Option<(Return, Refusal)>> {
        let uri = parameters.get("redirect_uri").filter(|uri| client.redirects_to(uri)).ok_or(None)?;
        let back = Return { uri: uri.to_owned(), state: parameters.get("state").map(str::to_owned) };
        Self::of(parameters, client, back.clone(), now).map_err(|refusal| Some((back, refusal)))
    }

    fn of(parameters: &Parameters, client: &OauthClient, back: Return, now: DateTime<Utc>) -> Result<Self, Refusal> {
        if parameters.get("request").is_some() {
            return Err(Refusal::RequestNotSupported);
        }
        if parameters.get("request_uri").is_some() {
            return Err(Refusal::RequestUriNotSupported);
        }
        match parameters.get("response_type") {
            Some("code") => {}
            Some(_) => return Err(Refusal::UnsupportedResponseType),
            None => return Err(Refusal::InvalidRequest),
        }
        let is_by_query = parameters.get("response_mode").is_none_or(|mode| mode == "query");
        // Without the method, the challenge would be the verifier (RFC 7636, 4.3).
        if !is_by_query || parameters.get("code_challenge_method") != Some("S256") {
            return Err(Refusal::InvalidRequest);
        }
        let challenge = parameters.get("code_challenge").and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        let challenge: [u8; 32] = challenge.and_then(|bytes| bytes.try_into().ok()).ok_or(Refusal::InvalidRequest)?;
        let nonce = parameters.get("nonce");
        if nonce.is_some_and(|nonce| nonce.len() > MAX_NONCE_BYTES) {
            return Err(Refusal::InvalidRequest);
        }
        let prompts: Vec<_> = parameters.get("prompt").unwrap_or_default().split_ascii_whitespace().collect();
        let prompts_for = |name: &str| prompts.contains(&name);
        if prompts_for("none") && prompts.len() > 1 {
            return Err(Refusal::InvalidRequest);
        }
        let asked_at = parameters.get(ASKED).and_then(|text| DateTime::from_timestamp(text.parse().ok()?, 0));
        let asked_at = asked_at.map_or(now, |at| at.min(now));
        let max_age = match parameters.get("max_age").map(str::parse::<u32>) {
            None => None,
            Some(Ok(seconds)) => Some(TimeDelta::seconds(seconds.into())),
            Some(Err(_)) => return Err(Refusal::InvalidRequest),
        };
        let must_sign_in = prompts_for("login") || prompts_for("select_account");
        Ok(Self {
            back,
            scopes: client.allowed(parameters.get("scope").unwrap_or_default().split_ascii_whitespace()),
            nonce: nonce.map(str::to_owned),
            challenge,
            is_silent: prompts_for("none"),
            asks_consent: prompts_for("consent"),
            signed_in_since: if must_sign_in { Some(asked_at) } else { max_age.map(|age| asked_at - age) },
        })
    }
}

/// A code, which an application exchanges for tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    pub client: OauthClientId,
    pub user: UserId,
    /// The session in which the user agreed, and its membership at that time.
    pub session: SessionId,
    pub member: Option<MemberId>,
    pub redirect_uri: String,
    pub scopes: Vec<String>,
    pub nonce: Option<String>,
    pub challenge: [u8; 32],
    pub expires_at: DateTime<Utc>,
    /// The session that the code began.
    pub grant: Option<SessionId>,
}

impl Code {
    /// Returns what the user has allowed.
    pub fn agreement(&self) -> Agreement {
        Agreement { user: self.user, session: self.session, member: self.member, scopes: self.scopes.clone() }
    }

    /// Returns whether the sender of a request for tokens is the one that began the authorization (RFC 7636, 4.6).
    pub fn is_of(&self, redirect_uri: Option<&str>, verifier: Option<&str>) -> bool {
        let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let verifier = verifier.filter(|text| (43..=128).contains(&text.len()) && text.bytes().all(is_unreserved));
        let is_verified = verifier.is_some_and(|text| Sha256::digest(text).as_slice().ct_eq(&self.challenge).into());
        is_verified && redirect_uri == Some(self.redirect_uri.as_str())
    }
}

/// What a user has allowed an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    pub client: OauthClientId,
    pub client_name: String,
    pub scopes: Vec<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::identity::oauth_client::model::GrantType;

    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + seconds, 0).expect("a time")
    }

    pub(super) fn client() -> OauthClient {
        OauthClient {
            id: OauthClientId(Uuid::from_u128(1)),
            name: "Reports".to_owned(),
            redirect_uris: vec!["https://a.example/back?x=1".to_owned()],
            post_logout_redirect_uris: Vec::new(),
            grant_types: vec![GrantType::AuthorizationCode],
            scopes: vec!["support.tickets.read".to_owned()],
            is_confidential: true,
            is_first_party: false,
            account: None,
            credentials_epoch: 0,
            earlier_expires_at: None,
            version: 1,
            created_at: at(0),
            updated_at: at(0),
        }
    }

    fn read(changes: &[(&str, &str)]) -> Result<Request, Option<(Return, Refusal)>> {
        let mut pairs = vec![
            ("redirect_uri", "https://a.example/back?x=1"),
            ("response_type", "code"),
            ("scope", "openid support.tickets.read identity.users.manage"),
            ("state", "s&t"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        for change in changes {
            pairs.retain(|(name, _)| *name != change.0);
            pairs.push(*change);
        }
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        Request::read(&Parameters::parse(query.as_bytes()).expect("each once"), &client(), at(0))
    }

    fn refusal(changes: &[(&str, &str)]) -> Refusal {
        read(changes).expect_err("refused").expect("of a known address").1
    }

    #[test]
    fn a_request_asks_for_what_the_client_may_have() {
        let request = read(&[]).expect("valid");
        assert_eq!(request.scopes, ["openid", "support.tickets.read"]);
        let url = request.back.url("https://id.example", ("code", "c"));
        assert_eq!(url, "https://a.example/back?x=1&code=c&state=s%26t&iss=https%3A%2F%2Fid.example");
        assert_eq!(request.back.host().as_deref(), Some("a.example"));
    }

    #[test]
    fn nothing_is_sent_to_an_unknown_address() {
        for uri in ["https://b.example/back", "https://a.example/back", ""] {
            assert_eq!(read(&[("redirect_uri", uri)]), Err(None), "{uri}");
        }
    }

    #[test]
    fn pkce_can_be_neither_omitted_nor_weakened() {
        for changes in [
            &[("code_challenge", "")][..],
            &[("code_challenge_method", "")],
            &[("code_challenge_method", "plain")],
            &[("code_challenge_method", "plain"), ("code_challenge", VERIFIER)],
            &[("code_challenge", "AAAA")],
        ] {
            assert_eq!(refusal(changes), Refusal::InvalidRequest, "{changes:?}");
        }
        assert_eq!(refusal(&[("response_type", "token")]), Refusal::UnsupportedResponseType);
        assert_eq!(refusal(&[("response_type", "code id_token")]), Refusal::UnsupportedResponseType);
        assert_eq!(refusal(&[("response_type", "")]), Refusal::InvalidRequest);
        assert_eq!(refusal(&[("response_mode", "fragment")]), Refusal::InvalidRequest);
        assert_eq!(refusal(&[("request", "e30.e30.")]), Refusal::RequestNotSupported);
        assert_eq!(refusal(&[("request_uri", "https://a.example/r")]), Refusal::RequestUriNotSupported);
    }

    #[test]
    fn a_prompt_decides_how_recent_the_sign_in_must_be() {
        let since = |changes: &[(&str, &str)]| read(changes).expect("valid").signed_in_since;
        assert_eq!(since(&[]), None);
        assert_eq!(since(&[("prompt", "login")]), Some(at(0)));
        assert_eq!(
            since(&[("prompt", "login"), ("asked", "1789999990")]),
            Some(at(-10)),
            "the person has signed in since"
        );
        assert_eq!(since(&[("prompt", "login"), ("asked", "1790000099")]), Some(at(0)), "not in the future");
        assert_eq!(since(&[("max_age", "60")]), Some(at(-60)));
        assert_eq!(refusal(&[("max_age", "-1")]), Refusal::InvalidRequest);
        assert_eq!(refusal(&[("prompt", "none login")]), Refusal::InvalidRequest);
        assert!(read(&[("prompt", "none")]).expect("valid").is_silent);
        assert!(read(&[("prompt", "login consent")]).expect("valid").asks_consent);
    }

    #[test]
    fn a_parameter_is_there_once() {
        assert_eq!(Parameters::parse(b"client_id=a&state=b&client_id=a"), None);
        let parameters = Parameters::parse(b"state=b&asked=1&other=2").expect("each once");
        assert_eq!(parameters.begun(at(0)).as_deref(), Some("state=b&asked=1790000000"), "an application sets no time");
        let many = |count: usize| (0..count).map(|number| format!("p{number}=1")).collect::<Vec<_>>().join("&");
        assert!(Parameters::parse(many(MAX_PARAMETERS).as_bytes()).is_some());
        assert_eq!(Parameters::parse(many(MAX_PARAMETERS + 1).as_bytes()), None);
        let long = format!("state={}", "s".repeat(MAX_REQUEST_BYTES));
        assert_eq!(Parameters::parse(long.as_bytes()).expect("once").begun(at(0)), None);
    }

    #[test]
    fn a_code_is_of_the_browser_that_began() {
        let challenge = URL_SAFE_NO_PAD.decode(CHALLENGE).expect("Base64url").try_into().expect("32 bytes");
        let code = Code {
            client: client().id,
            user: UserId(Uuid::from_u128(2)),
            session: SessionId(Uuid::from_u128(3)),
            member: None,
            redirect_uri: "https://a.example/back?x=1".to_owned(),
            scopes: Vec::new(),
            nonce: None,
            challenge,
            expires_at: at(60),
            grant: None,
        };
        let uri = Some("https://a.example/back?x=1");
        assert!(code.is_of(uri, Some(VERIFIER)));
        for (uri, verifier) in [
            (None, Some(VERIFIER)),
            (Some("https://a.example/back"), Some(VERIFIER)),
            (uri, None),
            (uri, Some("")),
            (uri, Some(CHALLENGE)),
            (uri, Some(&VERIFIER[1..])),
        ] {
            assert!(!code.is_of(uri, verifier), "{uri:?} {verifier:?}");
        }
    }
}
