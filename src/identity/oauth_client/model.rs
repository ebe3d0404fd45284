//! Registered clients of OAuth, and to which addresses they may lead people.

use chrono::{DateTime, TimeDelta, Utc};
use mainstay_kernel::{
    contract::Policies,
    error::{Error, Result},
    id::AccountId,
    numbered::numbered,
    page::Key,
};
use url::Url;

use crate::identity::{oauth_client::id::OauthClientId, revocation::model::SubjectVersion, role::model::check_scopes};

/// The scopes of OpenID Connect, which every client may ask for. They grant no method.
pub const IDENTITY_SCOPES: [&str; 3] = ["openid", "profile", "email"];

/// The parameters that a response adds to an address.
const RESPONSE_PARAMETERS: [&str; 4] = ["code", "state", "iss", "error"];

numbered! {
    /// A grant that a client may use.
    GrantType {
        /// A code of a person, with PKCE.
        AuthorizationCode = 1,
        /// Refresh tokens.
        RefreshToken = 2,
        /// The secret of the client, for tokens of the client itself.
        ClientCredentials = 3,
        /// A code of a device, about which a person decides on another one.
        DeviceCode = 4,
    }
}

/// A client to be registered.
#[derive(Debug, Clone)]
pub struct Draft {
    pub name: String,
    pub redirect_uris: Vec<String>,
    pub post_logout_redirect_uris: Vec<String>,
    pub grant_types: Vec<GrantType>,
    pub scopes: Vec<String>,
    pub is_confidential: bool,
    pub is_first_party: bool,
    pub account: Option<AccountId>,
}

/// New values of a client.
#[derive(Debug, Clone, Default)]
pub struct Patch {
    pub name: Option<String>,
    pub redirect_uris: Option<Vec<String>>,
    pub post_logout_redirect_uris: Option<Vec<String>>,
    pub grant_types: Option<Vec<GrantType>>,
    pub scopes: Option<Vec<String>>,
    pub is_first_party: Option<bool>,
}

/// A registered client, without its secret, which is shown once and stored only as a hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OauthClient {
    pub id: OauthClientId,
    /// The name that people see.
    pub name: String,
    /// The addresses to which an authorization leads.
    pub redirect_uris: Vec<String>,
    /// The addresses to which a sign-out leads.
    pub post_logout_redirect_uris: Vec<String>,
    pub grant_types: Vec<GrantType>,
    /// The scopes of the contract that the client may ask for.
    pub scopes: Vec<String>,
    /// Whether the client has a secret.
    pub is_confidential: bool,
    /// Whether people are not asked for their consent.
    pub is_first_party: bool,
    /// The account whose data the client reaches with client credentials; `None` for a client of the platform.
    pub account: Option<AccountId>,
    /// How often the client has lost client credentials. A token of the client itself names the number at its issue.
    pub credentials_epoch: i32,
    /// Until when the secret before the last rotation is accepted.
    pub earlier_expires_at: Option<DateTime<Utc>>,
    /// The version, which each change increments by one.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl OauthClient {
    /// Creates a client.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for an unknown scope, another redirect URI, grants that do not fit, and a public client of the operator.
    pub fn new(policies: &Policies, draft: Draft, now: DateTime<Utc>) -> Result<Self> {
        let Draft {
            name,
            redirect_uris,
            post_logout_redirect_uris,
            grant_types,
            scopes,
            is_confidential,
            is_first_party,
            account,
        } = draft;
        let client = Self {
            id: OauthClientId::generate(now),
            name,
            redirect_uris,
            post_logout_redirect_uris,
            grant_types,
            scopes,
            is_confidential,
            is_first_party,
            account,
            credentials_epoch: 0,
            earlier_expires_at: None,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        client.check(policies, "")?;
        Ok(client)
    }

    /// Returns the next version; `None` if no value differs.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn apply(&self, policies: &Policies, patch: Patch, now: DateTime<Utc>) -> Result<Option<Self>> {
        let next = Self {
            name: patch.name.unwrap_or_else(|| self.name.clone()),
            redirect_uris: patch.redirect_uris.unwrap_or_else(|| self.redirect_uris.clone()),
            post_logout_redirect_uris: patch
                .post_logout_redirect_uris
                .unwrap_or_else(|| self.post_logout_redirect_uris.clone()),
            grant_types: patch.grant_types.unwrap_or_else(|| self.grant_types.clone()),
            scopes: patch.scopes.unwrap_or_else(|| self.scopes.clone()),
            is_first_party: patch.is_first_party.unwrap_or(self.is_first_party),
            ..self.clone()
        };
        if next == *self {
            return Ok(None);
        }
        next.check(policies, "oauthClient.")?;
        let has_lost = self.may_use(GrantType::ClientCredentials) && !next.may_use(GrantType::ClientCredentials);
        let credentials_epoch = self.credentials_epoch + i32::from(has_lost);
        Ok(Some(Self { version: self.version + 1, updated_at: now, credentials_epoch, ..next }))
    }

    fn check(&self, policies: &Policies, prefix: &str) -> Result<()> {
        check_scopes(policies, self.account, &self.scopes, &format!("{prefix}scopes"))?;
        let uris = [("redirectUris", &self.redirect_uris), ("postLogoutRedirectUris", &self.post_logout_redirect_uris)];
        for (field, uris) in uris {
            for (index, uri) in uris.iter().enumerate() {
                check_redirect_uri(uri).map_err(|fault| Error::field(format!("{prefix}{field}[{index}]"), fault))?;
            }
        }
        let grants = |fault| Err(Error::field(format!("{prefix}grantTypes"), fault));
        if self.grant_types.iter().all(|grant| *grant == GrantType::RefreshToken) {
            return grants("must contain a grant that begins the access");
        }
        if self.may_use(GrantType::ClientCredentials) && !self.is_confidential {
            return grants("must not contain client credentials for a public client");
        }
        if self.account.is_some() && self.grant_types != [GrantType::ClientCredentials] {
            return grants("must be client credentials alone for a client of an account");
        }
        let fault = match (self.may_use(GrantType::AuthorizationCode), self.redirect_uris.is_empty()) {
            (true, true) => Some("must have an address for the authorization code"),
            (false, false) => Some("must be empty without the authorization code"),
            _ => None,
        };
        if let Some(fault) = fault {
            return Err(Error::field(format!("{prefix}redirectUris"), fault));
        }
        if self.is_first_party && !self.is_confidential {
            // Any program on a device can pretend to be a public client (RFC 8252, 8.6).
            return Err(Error::field(format!("{prefix}firstParty"), "must be false for a public client"));
        }
        Ok(())
    }

    /// Returns the client with a new secret. The previous one is accepted until `now + overlap`.
    #[must_use]
    pub fn rotate(self, overlap: TimeDelta, now: DateTime<Utc>) -> Self {
        let earlier_expires_at = Some(now + overlap).filter(|_| overlap > TimeDelta::zero());
        Self { earlier_expires_at, version: self.version + 1, updated_at: now, ..self }
    }

    /// Returns whether an authorization may lead to an address: it is registered or, for a loopback address, only its port
    /// differs (RFC 8252, 7.3).
    pub fn redirects_to(&self, uri: &str) -> bool {
        is_one_of(&self.redirect_uris, uri)
    }

    /// Returns whether a sign-out may lead to an address, by the same rule.
    pub fn returns_to(&self, uri: &str) -> bool {
        is_one_of(&self.post_logout_redirect_uris, uri)
    }

    /// Returns those scopes that the client may ask for, each once.
    pub fn allowed<'s>(&self, requested: impl IntoIterator<Item = &'s str>) -> Vec<String> {
        let mut allowed: Vec<String> = Vec::new();
        for name in requested {
            let may = IDENTITY_SCOPES.contains(&name) || self.scopes.iter().any(|scope| scope == name);
            if may && !allowed.iter().any(|other| other == name) {
                allowed.push(name.to_owned());
            }
        }
        allowed
    }

    /// Returns whether the client may use a grant.
    pub fn may_use(&self, grant: GrantType) -> bool {
        self.grant_types.contains(&grant)
    }

    /// Returns the scopes of a token of the client itself: all if none is requested; `None` if the client lacks one.
    pub fn own_scopes(&self, requested: Option<&str>) -> Option<Vec<String>> {
        let Some(requested) = requested else { return Some(self.scopes.clone()) };
        let mut scopes: Vec<String> = Vec::new();
        for name in requested.split_ascii_whitespace() {
            let scope = self.scopes.iter().find(|scope| *scope == name)?;
            if !scopes.contains(scope) {
                scopes.push(scope.clone());
            }
        }
        Some(scopes)
    }

    /// Returns the scopes that a token of the client itself can have, and could not have before.
    pub fn gained<'c>(&'c self, before: Option<&'c Self>) -> impl Iterator<Item = &'c str> + Clone {
        let scopes = if self.may_use(GrantType::ClientCredentials) { &self.scopes[..] } else { &[] };
        let before = before.filter(|client| client.may_use(GrantType::ClientCredentials));
        let had = move |scope: &String| before.is_some_and(|client| client.scopes.contains(scope));
        scopes.iter().filter(move |scope| !had(scope)).map(String::as_str)
    }

    /// Returns the version on which cached uses of a token of the client itself depend.
    pub fn current(&self) -> SubjectVersion {
        SubjectVersion::new(self.id.0, self.version)
    }

    /// Returns the position in a list by creation time.
    pub fn key(&self) -> Key {
        Key { rank: None, time: self.created_at, id: self.id.0 }
    }
}

fn is_loopback(url: &Url) -> bool {
    url.scheme() == "http" && matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"))
}

fn is_one_of(registered: &[String], uri: &str) -> bool {
    let without_port = |text: &str| {
        let mut url: Url = text.parse().ok().filter(|url: &Url| is_loopback(url) && url.as_str() == text)?;
        url.set_port(None).ok()?;
        Some(url)
    };
    let given = without_port(uri);
    let is_same = |registered: &String| given.is_some() && without_port(registered) == given;
    registered.iter().any(|registered| registered == uri || is_same(registered))
}

/// Checks an address that is to be registered.
///
/// # Errors
/// The fault.
fn check_redirect_uri(text: &str) -> std::result::Result<(), &'static str> {
    // The text is compared, and the URL is followed: they must be the same.
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_good = |url: &Url| {
        let is_bare = url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
        is_plain && is_bare && (url.scheme() == "https" || is_loopback(url))
    };
    let Some(url) = text.parse::<Url>().ok().filter(is_good) else {
        return Err("must be an https URL, or an http URL of a loopback address, without a fragment");
    };
    // The application would read its own value in place of the response (RFC 6749, 4.1.2).
    if url.query_pairs().any(|(name, _)| RESPONSE_PARAMETERS.contains(&&*name)) {
        return Err("must not have a parameter of a response: code, state, iss or error");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn policies() -> &'static Policies {
        &crate::product().modules().expect("they fit together").contract.policies
    }

    fn draft(uris: &[&str]) -> Draft {
        Draft {
            name: "Reports".to_owned(),
            redirect_uris: uris.iter().map(|uri| (*uri).to_owned()).collect(),
            post_logout_redirect_uris: Vec::new(),
            grant_types: vec![GrantType::AuthorizationCode],
            scopes: vec!["support.tickets.read".to_owned()],
            is_confidential: true,
            is_first_party: false,
            account: None,
        }
    }

    fn client(uris: &[&str]) -> Result<OauthClient> {
        OauthClient::new(policies(), draft(uris), DateTime::UNIX_EPOCH + TimeDelta::days(1))
    }

    #[test]
    fn a_redirect_uri_is_https_or_of_the_loopback() {
        for good in
            ["https://a.example/back", "https://a.example/back?tenant=1", "http://127.0.0.1/", "http://[::1]:80/b"]
        {
            client(&[good]).unwrap_or_else(|error| panic!("{good}: {error:?}"));
        }
        for bad in [
            "http://a.example/back",
            "https://a.example/back#top",
            "https://user@a.example/back",
            "https://a.example\\@b.example/",
            "javascript:alert(1)",
            "custom:/back",
            "/back",
            "https://a.example/ back",
            "https://a.example/back?state=s",
            "https://a.example/back?x=1&c%6Fde=c",
            "https://a.example/back?iss=i",
            "https://a.example/back?error",
        ] {
            client(&[bad]).expect_err(bad);
            let after = Draft { post_logout_redirect_uris: vec![bad.to_owned()], ..draft(&["https://a.example/back"]) };
            OauthClient::new(policies(), after, DateTime::UNIX_EPOCH).expect_err(bad);
        }
    }

    #[test]
    fn an_address_is_compared_as_text() {
        let client = client(&["https://a.example/back?x=1"]).expect("valid");
        assert!(client.redirects_to("https://a.example/back?x=1"));
        for variant in [
            "https://a.example/back",
            "https://a.example/back?x=1&y=2",
            "https://a.example/back/?x=1",
            "https://a.example/back/../back?x=1",
            "https://a.example:443/back?x=1",
            "https://A.example/back?x=1",
            "https://a.example/%62ack?x=1",
            "https://a.example.b.example/back?x=1",
            "https://a.example@b.example/back?x=1",
            "http://a.example/back?x=1",
            "",
        ] {
            assert!(!client.redirects_to(variant), "{variant}");
        }
    }

    #[test]
    fn only_the_port_of_a_loopback_address_may_differ() {
        let client = client(&["http://127.0.0.1/back", "http://[::1]:9/back"]).expect("valid");
        assert!(!client.returns_to("http://127.0.0.1/back"), "a sign-out has its own addresses");
        for good in ["http://127.0.0.1/back", "http://127.0.0.1:51004/back", "http://[::1]:51004/back"] {
            assert!(client.redirects_to(good), "{good}");
        }
        for bad in [
            "http://127.0.0.1:51004/other",
            "http://127.0.0.1:51004/back?x=1",
            "http://127.0.0.1:51004@b.example/back",
            "http://user@127.0.0.1:51004/back",
            "http://127.1:51004/back",
            "http://localhost:51004/back",
            "https://127.0.0.1:51004/back",
            "http://127.0.0.1:51004\\/back",
        ] {
            assert!(!client.redirects_to(bad), "{bad}");
        }
    }

    #[test]
    fn a_client_asks_for_its_scopes_and_the_identity() {
        let client = client(&["https://a.example/back"]).expect("valid");
        let requested = "openid support.tickets.read openid support.tickets.write identity.users.manage".split(' ');
        assert_eq!(client.allowed(requested), ["openid", "support.tickets.read"]);
    }

    #[test]
    fn a_public_client_is_not_of_the_operator() {
        let now = DateTime::UNIX_EPOCH;
        let uris = ["https://a.example/back"];
        let public = Draft { is_confidential: false, ..draft(&uris) };
        let client = OauthClient::new(policies(), public.clone(), now).expect("valid");
        OauthClient::new(policies(), Draft { is_first_party: true, ..public }, now).expect_err("no proof of who asks");
        let patch = Patch { is_first_party: Some(true), ..Patch::default() };
        client.apply(policies(), patch, now).expect_err("nor later");
        let refresh = Draft { grant_types: vec![GrantType::RefreshToken], ..draft(&uris) };
        OauthClient::new(policies(), refresh, now).expect_err("nothing begins a session");
    }

    #[test]
    fn the_grants_fit_the_client() {
        let now = DateTime::UNIX_EPOCH;
        let account = Some(AccountId(Uuid::from_u128(2)));
        let itself = Draft { grant_types: vec![GrantType::ClientCredentials], ..draft(&[]) };
        let is_valid = |draft: Draft| OauthClient::new(policies(), draft, now).is_ok();
        assert!(is_valid(itself.clone()) && is_valid(Draft { account, ..itself.clone() }));
        let both = vec![GrantType::AuthorizationCode, GrantType::ClientCredentials];
        assert!(is_valid(Draft { grant_types: both.clone(), ..draft(&["https://a.example/back"]) }));
        for (reason, draft) in [
            ("no proof of who asks", Draft { is_confidential: false, ..itself.clone() }),
            (
                "nobody is led there",
                Draft { grant_types: itself.grant_types.clone(), ..draft(&["https://a.example/"]) },
            ),
            ("nobody is led back", draft(&[])),
            ("people of other accounts", Draft { account, grant_types: both, ..draft(&["https://a.example/back"]) }),
            (
                "a scope of the staff",
                Draft { account, scopes: vec!["identity.oauth_clients.manage".to_owned()], ..itself },
            ),
        ] {
            assert!(!is_valid(draft), "{reason}");
        }
    }

    #[test]
    fn a_token_of_the_client_has_scopes_of_the_client_alone() {
        let scopes = ["support.tickets.read", "support.tickets.write"].map(str::to_owned).to_vec();
        let draft = Draft { grant_types: vec![GrantType::ClientCredentials], scopes: scopes.clone(), ..draft(&[]) };
        let client = OauthClient::new(policies(), draft, DateTime::UNIX_EPOCH).expect("valid");
        assert_eq!(client.own_scopes(None), Some(scopes));
        let twice = "support.tickets.write support.tickets.write";
        assert_eq!(client.own_scopes(Some(twice)), Some(vec!["support.tickets.write".to_owned()]));
        for wish in ["openid", "support.tickets.read identity.users.manage"] {
            assert_eq!(client.own_scopes(Some(wish)), None, "{wish}");
        }
        let less = OauthClient { scopes: vec!["support.tickets.read".to_owned()], ..client.clone() };
        assert_eq!(client.gained(Some(&less)).collect::<Vec<_>>(), ["support.tickets.write"]);
        assert_eq!(client.gained(None).count() + less.gained(Some(&client)).count(), 2);
        let of_people = OauthClient { grant_types: vec![GrantType::AuthorizationCode], ..client.clone() };
        assert_eq!((client.gained(Some(&of_people)).count(), of_people.gained(None).count()), (2, 0));
    }

    #[test]
    fn an_earlier_secret_ends_with_the_overlap() {
        let now = DateTime::UNIX_EPOCH;
        let client =
            OauthClient { id: OauthClientId(Uuid::nil()), ..client(&["https://a.example/back"]).expect("valid") };
        let rotated = client.clone().rotate(TimeDelta::hours(1), now);
        assert_eq!((rotated.earlier_expires_at, rotated.version), (Some(now + TimeDelta::hours(1)), 2));
        assert_eq!(client.rotate(TimeDelta::zero(), now).earlier_expires_at, None);
    }
}
