//! The settings of webhooks, inbound and outbound.

mod encoding;
mod generic;
mod secret;

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use crate::webhooks::inbound_event::model::Provider;
use mainstay_kernel::config::{Reader, Requirement, Section, Variable, Verdict};

pub(crate) use encoding::base64;
pub(crate) use generic::{Algorithm, Encoding, GenericScheme};
pub(crate) use secret::decode;

/// Maximum concurrent webhooks to one endpoint.
pub const PER_ENDPOINT: usize = 8;

#[derive(Debug, Clone)]
pub struct WebhooksConfig {
    /// The signing secrets of each provider; webhooks of a provider without a secret are rejected.
    secrets: Vec<(Provider, Vec<SecretString>)>,
    /// The signature scheme of the provider of the operator's choice.
    generic: GenericScheme,
    /// Whether endpoints may be in private networks and without TLS. For development only: users who create endpoints
    /// can then reach every host that this server can reach.
    pub allow_private: bool,
    /// The number of endpoints that a worker serves concurrently, each with at most [`PER_ENDPOINT`] webhooks. An
    /// endpoint that takes over a second releases its slot.
    pub concurrency: usize,
    /// The maximum wait before a webhook's second attempt; it triples with each further attempt.
    pub first_wait: Duration,
    /// How long all attempts to an endpoint may fail before it is disabled.
    pub patience: Duration,
}

/// What webhooks need in production.
pub(super) const PRODUCTION: &[Requirement] = &[Requirement {
    name: "webhook-targets",
    text: "Webhook endpoints are outside of private networks, and are called with TLS",
    check: |config| {
        let is_open = config.section::<WebhooksConfig>().allow_private;
        Verdict::of(!is_open, "WEBHOOK_ALLOW_PRIVATE is true: users can reach the own network")
    },
}];

const SECRETS: [(Provider, &str); 5] = [
    (Provider::Stripe, "WEBHOOK_SECRETS_STRIPE"),
    (Provider::Standard, "WEBHOOK_SECRETS_STANDARD"),
    (Provider::Github, "WEBHOOK_SECRETS_GITHUB"),
    (Provider::Sendgrid, "WEBHOOK_KEYS_SENDGRID"),
    (Provider::Generic, "WEBHOOK_SECRETS_GENERIC"),
];

impl Section for WebhooksConfig {
    const VARIABLES: &'static [Variable] = &[
        Variable::secret(
            "WEBHOOK_SECRETS_STRIPE",
            "Signing secrets of Stripe webhooks, separated by commas; if absent, they are not accepted",
        ),
        Variable::secret(
            "WEBHOOK_SECRETS_STANDARD",
            "Signing secrets (whsec_ and base64) of Standard Webhooks senders, likewise",
        ),
        Variable::secret("WEBHOOK_SECRETS_GITHUB", "Signing secrets of GitHub webhooks, likewise"),
        Variable::secret("WEBHOOK_KEYS_SENDGRID", "Verification keys of SendGrid's event webhooks, likewise"),
        Variable::secret("WEBHOOK_SECRETS_GENERIC", "Signing secrets of another provider of your choice, likewise"),
        generic::SIGNATURE_HEADER,
        generic::PREFIX,
        generic::ALGORITHM,
        generic::ENCODING,
        generic::TIMESTAMP_HEADER,
        generic::SIGNED,
        generic::ID_HEADER,
        generic::ID_FIELD,
        generic::TYPE_HEADER,
        Variable::plain(
            "WEBHOOK_ALLOW_PRIVATE",
            "false",
            "Allows webhook endpoints and providers of accounts in private networks and without TLS; for development only",
        ),
        Variable::plain(
            "WEBHOOK_CONCURRENCY",
            "16",
            "Maximum webhook endpoints that a worker calls concurrently. One endpoint receives up to 8 concurrent deliveries. An endpoint that takes over 1s frees its slot for another one",
        ),
        Variable::plain(
            "WEBHOOK_FIRST_WAIT",
            "10s",
            "Longest wait before a webhook's second attempt, and half of it the shortest; triples with each attempt, up to 12h",
        ),
        Variable::plain(
            "WEBHOOK_PATIENCE",
            "5d",
            "Time for which all attempts must have failed before an endpoint is disabled",
        ),
    ];

    fn read(read: &mut Reader) -> Self {
        let mut secrets = Vec::new();
        for (provider, variable) in SECRETS {
            let provider_secrets = read.secret(variable).map(|text| split(&text)).unwrap_or_default();
            if let Some(fault) =
                provider_secrets.iter().find_map(|secret| decode(provider, secret.expose_secret()).err())
            {
                read.fault(variable, fault);
            }
            secrets.push((provider, provider_secrets));
        }
        Self {
            secrets,
            generic: GenericScheme::read(read),
            allow_private: read.parse("WEBHOOK_ALLOW_PRIVATE"),
            concurrency: read.positive("WEBHOOK_CONCURRENCY"),
            first_wait: read.positive_duration("WEBHOOK_FIRST_WAIT"),
            patience: read.duration("WEBHOOK_PATIENCE"),
        }
    }
}

impl WebhooksConfig {
    /// The secrets, by provider.
    pub fn secrets(&self) -> impl Iterator<Item = (Provider, &[SecretString])> {
        self.secrets.iter().map(|(provider, secrets)| (*provider, secrets.as_slice()))
    }

    /// Returns whether webhooks of a provider are accepted.
    pub(crate) fn has_secret(&self, provider: Provider) -> bool {
        self.secrets().any(|(other, secrets)| other == provider && !secrets.is_empty())
    }

    /// The signature scheme of the provider of the operator's choice.
    pub(crate) fn generic(&self) -> &GenericScheme {
        &self.generic
    }
}

/// Splits a list of secrets. Supabase shows a secret as `v1,whsec_…`, whose first part is the version of the scheme.
fn split(text: &SecretString) -> Vec<SecretString> {
    let parts = text.expose_secret().split(',').map(str::trim);
    parts.filter(|part| !matches!(*part, "" | "v1")).map(SecretString::from).collect()
}
