//! The settings of the providers with which people sign in.

use mainstay_kernel::config::{Reader, Variable, is_https_or_loopback};
use secrecy::SecretString;
use url::Url;

use crate::identity::user::model::EmailAddress;

pub(super) const NAMES: Variable = Variable::plain(
    "OIDC_PROVIDERS",
    "",
    "Names of the providers with which people sign in, separated by commas: lower case letters, digits and underscores. The settings of a provider have its name in capitals in place of the asterisk",
);
pub(super) const PRESET: Variable = Variable::plain(
    "OIDC_*_PRESET",
    "",
    "Defaults of a provider: google, microsoft, apple, github or oidc; if absent, that of the name, or else oidc",
);
pub(super) const ISSUER: Variable = Variable::plain(
    "OIDC_*_ISSUER",
    "",
    "Issuer of the provider, exactly as its ID tokens have it; google, apple and github have a default; plain http only for loopback",
);
pub(super) const CLIENT_ID: Variable =
    Variable::plain("OIDC_*_CLIENT_ID", "", "Id of this deployment at the provider, required");
pub(super) const CLIENT_SECRET: Variable =
    Variable::secret("OIDC_*_CLIENT_SECRET", "Secret of this deployment at the provider; only oidc works without one");
pub(super) const SCOPES: Variable = Variable::plain(
    "OIDC_*_SCOPES",
    "",
    "Scopes to request, separated by spaces; if absent, the scopes of the address and the name",
);
pub(super) const DOMAINS: Variable = Variable::plain(
    "OIDC_*_DOMAINS",
    "",
    "Mail domains whose addresses the provider assigns, separated by commas: an identity with such an address is linked to the customer who has the address",
);

const MAX_NAME_BYTES: usize = 32;
const MAX_PROVIDERS: usize = 20;
const MAX_ISSUER_BYTES: usize = 500;

/// How a provider proves who a person is, and the defaults of its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    Google,
    Microsoft,
    Apple,
    /// OAuth without OpenID Connect: the API of GitHub says who the person is.
    GitHub,
    /// Any provider with OpenID Connect.
    Oidc,
}

impl Preset {
    fn of(name: &str) -> Option<Self> {
        [Self::Google, Self::Microsoft, Self::Apple, Self::GitHub, Self::Oidc]
            .into_iter()
            .find(|one| one.name() == name)
    }

    /// Returns the name.
    fn name(self) -> &'static str {
        match self {
            Self::Google => "google",
            Self::Microsoft => "microsoft",
            Self::Apple => "apple",
            Self::GitHub => "github",
            Self::Oidc => "oidc",
        }
    }

    fn label(self) -> Option<&'static str> {
        match self {
            Self::Google => Some("Google"),
            Self::Microsoft => Some("Microsoft"),
            Self::Apple => Some("Apple"),
            Self::GitHub => Some("GitHub"),
            Self::Oidc => None,
        }
    }

    fn issuer(self) -> Option<&'static str> {
        match self {
            Self::Google => Some("https://accounts.google.com"),
            Self::Apple => Some("https://appleid.apple.com"),
            Self::GitHub => Some("https://github.com"),
            // Microsoft's issuer has the id of the tenant.
            Self::Microsoft | Self::Oidc => None,
        }
    }

    /// Returns the scopes that are requested by default.
    pub fn scopes(self) -> &'static str {
        match self {
            Self::GitHub => "read:user user:email",
            // Apple has the address in the ID token, and the name only in the first response.
            Self::Apple => "openid email",
            Self::Google | Self::Microsoft | Self::Oidc => "openid email profile",
        }
    }
}

/// A provider with which people sign in.
#[derive(Debug, Clone)]
pub struct Provider {
    /// The name in the configuration and in URLs.
    pub name: String,
    /// The name for people.
    pub label: String,
    pub preset: Preset,
    /// The `iss` of its ID tokens. Together with the subject it identifies a person.
    pub issuer: String,
    pub client_id: String,
    pub client_secret: Option<SecretString>,
    pub scopes: String,
    /// The domains whose addresses the provider assigns, in ASCII without capitals.
    pub domains: Vec<String>,
}

impl Provider {
    /// Returns whether the provider assigns the addresses of a domain: it, and no other party, says who has one. The hosted
    /// domain is the Google Workspace of the person. Google also has personal accounts with an address of a domain, such as
    /// those of former employees, which the Workspace does not control.
    pub fn is_authoritative_for(&self, email: &EmailAddress, hosted_domain: Option<&str>) -> bool {
        let is_own = |name: &str| self.domains.iter().any(|domain| domain == name);
        match self.preset {
            Preset::Google if email.domain() == "gmail.com" => true,
            Preset::Google => is_own(email.domain()) && hosted_domain.is_some_and(is_own),
            _ => is_own(email.domain()),
        }
    }
}

/// Reads all providers.
pub(super) fn read(read: &mut Reader) -> Vec<Provider> {
    let names = read.list("OIDC_PROVIDERS");
    if names.len() > MAX_PROVIDERS {
        read.fault("OIDC_PROVIDERS", format!("must have at most {MAX_PROVIDERS} names"));
    }
    if !names.is_empty() && read.optional::<String>("PUBLIC_URL").is_none() {
        read.fault("PUBLIC_URL", "required with OIDC_PROVIDERS: a provider sends people back to it");
    }
    let mut providers: Vec<Provider> = Vec::new();
    for name in names {
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if name.len() > MAX_NAME_BYTES
            || !name.bytes().all(is_name)
            || !name.starts_with(|one: char| one.is_ascii_lowercase())
        {
            read.fault(
                "OIDC_PROVIDERS",
                format!("{name:?} must be lower case letters, digits and underscores, at most 32"),
            );
        } else if let Some(provider) = provider(read, &name) {
            if providers.iter().any(|other| other.name == name || other.issuer == provider.issuer) {
                read.fault("OIDC_PROVIDERS", format!("{name:?} has the name or the issuer of another provider"));
            }
            providers.push(provider);
        }
    }
    providers
}

fn provider(read: &mut Reader, name: &str) -> Option<Provider> {
    let variable = |setting: &str| format!("OIDC_{}_{setting}", name.to_ascii_uppercase());
    let preset = read.optional::<String>(&variable("PRESET"));
    let Some(preset) = preset.as_deref().map_or_else(|| Preset::of(name).or(Some(Preset::Oidc)), Preset::of) else {
        read.fault(&variable("PRESET"), "must be google, microsoft, apple, github or oidc");
        return None;
    };
    let issuer = issuer(read, &variable("ISSUER"), preset);
    let client_id = read.optional::<String>(&variable("CLIENT_ID"));
    if client_id.is_none() {
        read.fault(&variable("CLIENT_ID"), "required: the id of this deployment at the provider");
    }
    let client_secret = read.secret(&variable("CLIENT_SECRET"));
    if client_secret.is_none() && preset != Preset::Oidc {
        read.fault(&variable("CLIENT_SECRET"), format!("required with the preset {}", preset.name()));
    }
    let scopes = read.optional::<String>(&variable("SCOPES")).unwrap_or_else(|| preset.scopes().to_owned());
    if preset != Preset::GitHub && !scopes.split(' ').any(|scope| scope == "openid") {
        read.fault(&variable("SCOPES"), "must contain openid");
    }
    let domains = domains(read, &variable("DOMAINS"));
    let label = preset.label().map_or_else(|| capitalized(name), str::to_owned);
    Some(Provider {
        name: name.to_owned(),
        label,
        preset,
        issuer: issuer?,
        client_id: client_id?,
        client_secret,
        scopes,
        domains,
    })
}

fn issuer(read: &mut Reader, name: &str, preset: Preset) -> Option<String> {
    let text = read.optional::<String>(name).or_else(|| preset.issuer().map(str::to_owned));
    let Some(text) = text else {
        read.fault(name, format!("required with the preset {}", preset.name()));
        return None;
    };
    let url = text.parse::<Url>().ok().filter(is_https_or_loopback);
    let is_plain = |url: &Url| {
        text.len() <= MAX_ISSUER_BYTES && url.query().is_none() && url.fragment().is_none() && url.username().is_empty()
    };
    let Some(url) = url.filter(|url| is_plain(url) && url.password().is_none()) else {
        read.fault(
            name,
            "must be an https URL, or an http one of this machine, without credentials, query and fragment",
        );
        return None;
    };
    // Their ID tokens have the issuers of all tenants, so that any tenant could claim any address.
    let tenant = url.path_segments().and_then(|mut segments| segments.next()).unwrap_or_default();
    if preset == Preset::Microsoft && ["common", "organizations", "consumers"].contains(&tenant) {
        read.fault(name, "must name one tenant by its id, such as https://login.microsoftonline.com/TENANT/v2.0");
    }
    Some(text)
}

fn domains(read: &mut Reader, name: &str) -> Vec<String> {
    let mut domains = Vec::new();
    for domain in read.list(name) {
        match EmailAddress::parse(&format!("any@{domain}")) {
            Ok(address) if domain.contains('.') => domains.push(address.domain().to_owned()),
            _ => read.fault(name, format!("{domain:?} is no mail domain")),
        }
    }
    domains
}

/// Returns the name for people of a name like `my_corp`.
fn capitalized(name: &str) -> String {
    let (first, rest) = name.split_at(name.len().min(1));
    format!("{}{}", first.to_ascii_uppercase(), rest.replace('_', " "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::tests::invalid_variables;

    const PUBLIC_URL: (&str, &str) = ("PUBLIC_URL", "https://api.example.com");

    #[test]
    fn every_fault_of_every_provider_is_named() {
        let faults = invalid_variables(&[
            ("OIDC_PROVIDERS", "google,corp,tenant,Bad"),
            ("OIDC_CORP_ISSUER", "http://id.example.com"),
            ("OIDC_CORP_CLIENT_ID", "mainstay"),
            ("OIDC_CORP_SCOPES", "email"),
            ("OIDC_CORP_DOMAINS", "example.com,nonsense"),
            ("OIDC_TENANT_PRESET", "microsoft"),
            ("OIDC_TENANT_ISSUER", "https://login.microsoftonline.com/common/v2.0"),
            ("OIDC_TENANT_CLIENT_ID", "mainstay"),
        ]);
        for name in [
            "PUBLIC_URL",
            "OIDC_PROVIDERS",
            "OIDC_GOOGLE_CLIENT_ID",
            "OIDC_GOOGLE_CLIENT_SECRET",
            "OIDC_CORP_ISSUER",
            "OIDC_CORP_SCOPES",
            "OIDC_CORP_DOMAINS",
            "OIDC_TENANT_ISSUER",
            "OIDC_TENANT_CLIENT_SECRET",
        ] {
            assert!(faults.iter().any(|fault| fault == name), "{name}: {faults:?}");
        }
    }

    #[test]
    fn a_preset_needs_the_id_and_the_secret_only() {
        for preset in ["google", "apple", "github"] {
            let (id, secret) = (
                format!("OIDC_{}_CLIENT_ID", preset.to_uppercase()),
                format!("OIDC_{}_CLIENT_SECRET", preset.to_uppercase()),
            );
            let values = [PUBLIC_URL, ("OIDC_PROVIDERS", preset), (&id, "mainstay"), (&secret, "hunter2")];
            assert!(invalid_variables(&values).is_empty(), "{preset}");
        }
        let corp = [("OIDC_CORP_ISSUER", "http://127.0.0.1:9/"), ("OIDC_CORP_CLIENT_ID", "mainstay")];
        let values = [PUBLIC_URL, ("OIDC_PROVIDERS", "corp"), corp[0], corp[1]];
        assert!(invalid_variables(&values).is_empty(), "a provider of this machine needs no TLS, and oidc no secret");
        let twice = [PUBLIC_URL, ("OIDC_PROVIDERS", "corp, corp"), corp[0], corp[1]];
        assert_eq!(invalid_variables(&twice), ["OIDC_PROVIDERS"]);
    }

    #[test]
    fn a_provider_is_authoritative_for_the_domains_that_it_assigns() {
        let provider = |preset: Preset, domains: &[&str]| Provider {
            name: "corp".to_owned(),
            label: capitalized("corp"),
            preset,
            issuer: "https://id.example".to_owned(),
            client_id: "mainstay".to_owned(),
            client_secret: None,
            scopes: preset.scopes().to_owned(),
            domains: domains.iter().map(|domain| (*domain).to_owned()).collect(),
        };
        let is_of = |provider: &Provider, email: &str, hosted: Option<&str>| {
            provider.is_authoritative_for(&EmailAddress::parse(email).expect("an address"), hosted)
        };
        let is_own = |provider: &Provider, email: &str| is_of(provider, email, None);
        assert!(is_own(&provider(Preset::Google, &[]), "ada@gmail.com"));
        assert!(
            !is_own(&provider(Preset::Oidc, &[]), "ada@gmail.com")
                && !is_own(&provider(Preset::Google, &[]), "ada@example.com")
        );
        let corp = provider(Preset::Oidc, &["example.com"]);
        assert!(is_own(&corp, "ada@Example.com") && !is_own(&corp, "ada@sub.example.com"));
        // A personal account of Google may have an address of the domain.
        let google = provider(Preset::Google, &["example.com", "example.net"]);
        assert!(!is_own(&google, "ada@example.com") && !is_of(&google, "ada@example.com", Some("evil.example")));
        assert!(is_of(&google, "ada@example.com", Some("example.com")), "of the Workspace");
        assert!(is_of(&google, "ada@example.net", Some("example.com")), "a further domain of the Workspace");
        assert!(!is_of(&google, "ada@other.example", Some("example.com")), "a domain that is not configured");
        assert_eq!(capitalized("my_corp"), "My corp");
    }
}
