//! The settings of sign-in: tokens, sessions, and the limits on password guesses and hashing.

mod providers;
mod relying_party;

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
    time::Duration,
};

use crate::identity::registration::model::RegistrationPolicy;
use mainstay_kernel::config::{Quota, Reader, Requirement, Section, Variable, Verdict, is_https_or_loopback};
use url::Url;

pub use providers::{Preset, Provider};
pub use relying_party::RelyingPartyConfig;

const HOUR: Duration = Duration::from_secs(60 * 60);

#[derive(Debug, Clone)]
pub struct IdentityConfig {
    /// The `iss` and `aud` of access tokens.
    pub issuer: String,
    /// The lifetime of an access token.
    pub access_ttl: Duration,
    /// The lifetime of a session without a refresh.
    pub refresh_ttl: Duration,
    /// The maximum lifetime of a session, regardless of refreshes.
    pub session_max_age: Duration,
    /// The lifetime of a session of the staff without a refresh, if shorter than that of customers.
    pub staff_session_idle: Duration,
    /// The lifetime of a session of the staff regardless of refreshes, if shorter than that of customers.
    pub staff_session_max_age: Duration,
    /// The age at which a signing key is replaced.
    pub signing_key_age: Duration,
    /// How many wrong passwords of an account are accepted from one network; `auth::limits` derives the other limits
    /// from it.
    pub login_attempts: Quota,
    /// Maximum concurrent password hashes; each needs 7 MiB, that of an imported user up to 128 MiB.
    pub max_hashing: usize,
    /// The base URL of a service that knows passwords from breaches.
    pub breached_passwords_url: Option<String>,
    /// Who may register without an invitation.
    pub registration: RegistrationPolicy,
    /// The name servers that look up the records of mail domains; those of the system if empty.
    pub dns_servers: Vec<SocketAddr>,
    /// Whether the staff needs a second factor.
    pub second_factor_staff: SecondFactorPolicy,
    /// How long the device of a customer is remembered, on which sign-ins need no second factor; zero for never.
    pub second_factor_remembered: Duration,
    /// The name of the product, which authenticator apps show.
    pub app_name: String,
    /// The time between the request of a deletion and the erasure.
    pub deletion_grace: Duration,
    /// Whether users receive a mail when staff acts in their name.
    pub impersonation_mail: bool,
    /// Whether people may sign in by mail.
    pub mail_sign_in: bool,
    /// Whether callers reach this server by TLS, as `PUBLIC_URL` says.
    pub is_public_https: bool,
    /// The base URL to which providers send people back; `None` without providers.
    pub public_url: Option<String>,
    /// The providers with which people sign in.
    pub providers: Vec<Provider>,
    /// To whom passkeys belong; `None` if they are unavailable.
    pub relying_party: Option<RelyingPartyConfig>,
    /// The origins of pages that keep their session in a cookie, beside those of this server.
    pub session_origins: Vec<String>,
    /// Whether the providers of accounts may be in private networks.
    pub allow_private_providers: bool,
}

impl IdentityConfig {
    /// Returns the lifetime of a device token: the next sign-in can take place after the session, and on a remembered device.
    pub fn device_ttl(&self) -> Duration {
        self.refresh_ttl.max(self.second_factor_remembered)
    }
}

/// Whether users need a second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecondFactorPolicy {
    Required,
    Optional,
}

impl FromStr for SecondFactorPolicy {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "required" => Ok(Self::Required),
            "optional" => Ok(Self::Optional),
            _ => Err("must be required or optional"),
        }
    }
}

/// Reads the name servers: addresses with or without a port.
fn dns_servers(read: &mut Reader) -> Vec<SocketAddr> {
    let text = read.optional::<String>("DNS_SERVERS").unwrap_or_default();
    let server = |text: &str| text.parse().ok().or_else(|| Some(SocketAddr::new(text.parse::<IpAddr>().ok()?, 53)));
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let servers: Option<Vec<_>> = parts.map(server).collect();
    servers.unwrap_or_else(|| {
        read.fault("DNS_SERVERS", "must be IP addresses, each with or without a port, separated by commas");
        Vec::new()
    })
}

/// What sign-in needs in production.
pub(super) const PRODUCTION: &[Requirement] = &[
    Requirement {
        name: "staff-second-factor",
        text: "The staff signs in with a second factor",
        check: |config| {
            let is_required = config.section::<IdentityConfig>().second_factor_staff == SecondFactorPolicy::Required;
            Verdict::of(
                is_required,
                "SECOND_FACTOR_STAFF is optional: an agent or admin may sign in with a password alone",
            )
        },
    },
    Requirement {
        name: "login-limit",
        text: "Passwords can be guessed at most ten times as often as by default",
        check: |config| {
            let Quota { requests, window } = config.section::<IdentityConfig>().login_attempts;
            // The default is 10/15m.
            let is_bounded = f64::from(requests) / window.as_secs_f64() <= 100.0 / 900.0;
            Verdict::of(is_bounded, "RATE_LIMIT_LOGIN admits too many attempts")
        },
    },
    Requirement {
        name: "account-providers",
        text: "The providers of accounts are outside of private networks, and are called with TLS",
        check: |config| {
            let is_open = config.section::<IdentityConfig>().allow_private_providers;
            Verdict::of(!is_open, "ALLOW_PRIVATE_PROVIDERS is true: users can reach the own network")
        },
    },
];

impl Section for IdentityConfig {
    const VARIABLES: &'static [Variable] = &[
        Variable::plain("TOKEN_ISSUER", "mainstay", "Issuer (iss) and audience (aud) of access tokens"),
        Variable::plain("ACCESS_TOKEN_TTL", "5m", "Lifetime of an access token"),
        Variable::plain("REFRESH_TOKEN_TTL", "30d", "Lifetime of a session without a refresh"),
        Variable::plain("SESSION_MAX_AGE", "90d", "Lifetime of a session, however often it is refreshed"),
        Variable::plain(
            "STAFF_SESSION_IDLE",
            "12h",
            "Lifetime of a session of an agent or admin without a refresh, if shorter than REFRESH_TOKEN_TTL",
        ),
        Variable::plain(
            "STAFF_SESSION_MAX_AGE",
            "24h",
            "Lifetime of a session of an agent or admin, however often it is refreshed, if shorter than SESSION_MAX_AGE",
        ),
        Variable::plain("SIGNING_KEY_AGE", "30d", "Age at which a signing key is rotated"),
        Variable::plain(
            "RATE_LIMIT_LOGIN",
            "10/15m",
            "Maximum wrong passwords for one account from one network. For all accounts: ten times as many per network, a hundred times as many per IPv6 /48. For one account: ten times as many per day from networks and devices that it has not signed in from. A known device has a separate limit of the same count",
        ),
        Variable::plain(
            "REGISTRATION",
            "open",
            "Who may register without an invitation: open (every address), invitation (no address), or mail domains separated by commas",
        ),
        Variable::plain(
            "DNS_SERVERS",
            "",
            "Name servers that look up the records of mail domains: IP addresses separated by commas, each with a port unless it is 53; if empty, those of the system",
        ),
        Variable::plain(
            "SECOND_FACTOR_STAFF",
            "optional",
            "Whether agents and admins need a second factor: required or optional. One without it can only add it, from the next sign-in or refresh",
        ),
        Variable::plain(
            "SECOND_FACTOR_REMEMBERED",
            "30d",
            "How long sign-ins of a customer need no second factor on a device that the customer has remembered, at most 365d; 0s turns it off",
        ),
        Variable::plain(
            "DELETION_GRACE",
            "14d",
            "Time between the request to delete a user or an account and the erasure of the data, from 1h to 90d; until then the deletion can be canceled",
        ),
        Variable::plain(
            "IMPERSONATION_MAIL",
            "false",
            "Whether a user receives a mail when staff starts to act in the name of the user",
        ),
        Variable::plain(
            "MAIL_SIGN_IN",
            "true",
            "Whether people may sign in with a link or a code from a mail, in place of the password",
        ),
        providers::NAMES,
        providers::PRESET,
        providers::ISSUER,
        providers::CLIENT_ID,
        providers::CLIENT_SECRET,
        providers::SCOPES,
        providers::DOMAINS,
        Variable::plain(
            "ALLOW_PRIVATE_PROVIDERS",
            "false",
            "Allows the providers that accounts bring in private networks and without TLS; for development only",
        ),
        relying_party::RP_ID,
        relying_party::ORIGINS,
        Variable::plain(
            "SESSION_ORIGINS",
            "",
            "Origins of pages that keep their session in a cookie beside those of this server, separated by commas: each one of ALLOWED_ORIGINS, and of the same site as this server",
        ),
        Variable::plain(
            "MAX_PASSWORD_HASHING",
            "4",
            "Maximum concurrent password hashes; each needs 7 MiB, that of an imported user up to 128 MiB",
        ),
        Variable::plain(
            "BREACHED_PASSWORDS_URL",
            "",
            "Base URL of a service that knows passwords from breaches by ranges of their SHA-1, such as https://api.pwnedpasswords.com; plain http only for loopback. If absent or unavailable, the built-in list of common passwords decides alone",
        ),
    ];

    fn read(read: &mut Reader) -> Self {
        let issuer: String = read.parse("TOKEN_ISSUER");
        if issuer.is_empty() {
            read.fault("TOKEN_ISSUER", "must not be empty: it tells this deployment's tokens from others'");
        }
        let deletion_grace = read.positive_duration("DELETION_GRACE");
        if !(HOUR..=HOUR * 24 * 90).contains(&deletion_grace) {
            read.fault("DELETION_GRACE", "must be from 1h to 90d");
        }
        let second_factor_remembered = read.duration("SECOND_FACTOR_REMEMBERED");
        if second_factor_remembered > HOUR * 24 * 365 {
            read.fault("SECOND_FACTOR_REMEMBERED", "must be at most 365d");
        }
        let breaches: Option<Url> = read.optional("BREACHED_PASSWORDS_URL");
        if breaches.as_ref().is_some_and(|url| !is_https_or_loopback(url) || url.query().is_some()) {
            read.fault("BREACHED_PASSWORDS_URL", "must be an https URL without a query; plain http only for loopback");
        }
        let public_url = read.optional::<String>("PUBLIC_URL");
        let session_origins: Vec<String> = read.list("SESSION_ORIGINS");
        let allowed_origins: Vec<String> = read.list("ALLOWED_ORIGINS");
        if !session_origins.iter().all(|origin| allowed_origins.contains(origin)) {
            read.fault(
                "SESSION_ORIGINS",
                "must be origins of ALLOWED_ORIGINS: browsers withhold responses from all others",
            );
        }
        Self {
            issuer,
            deletion_grace,
            access_ttl: read.positive_duration("ACCESS_TOKEN_TTL"),
            refresh_ttl: read.positive_duration("REFRESH_TOKEN_TTL"),
            session_max_age: read.positive_duration("SESSION_MAX_AGE"),
            staff_session_idle: read.positive_duration("STAFF_SESSION_IDLE"),
            staff_session_max_age: read.positive_duration("STAFF_SESSION_MAX_AGE"),
            signing_key_age: read.positive_duration("SIGNING_KEY_AGE"),
            login_attempts: read.quota("RATE_LIMIT_LOGIN"),
            max_hashing: read.positive("MAX_PASSWORD_HASHING"),
            breached_passwords_url: breaches.map(|url| url.as_str().trim_end_matches('/').to_owned()),
            registration: read.parse("REGISTRATION"),
            dns_servers: dns_servers(read),
            second_factor_staff: read.parse("SECOND_FACTOR_STAFF"),
            second_factor_remembered,
            impersonation_mail: read.parse("IMPERSONATION_MAIL"),
            mail_sign_in: read.parse("MAIL_SIGN_IN"),
            // The module for mail declares these variables, and says what is wrong with them.
            app_name: read.parse("APP_NAME"),
            relying_party: relying_party::read(read, public_url.as_deref()),
            session_origins,
            allow_private_providers: read.parse("ALLOW_PRIVATE_PROVIDERS"),
            is_public_https: public_url.as_ref().is_some_and(|url| url.starts_with("https://")),
            public_url: public_url.map(|url| url.trim_end_matches('/').to_owned()),
            providers: providers::read(read),
        }
    }
}
