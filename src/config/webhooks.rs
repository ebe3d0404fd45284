//! Webhooks, inbound and outbound.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::source::Reader;
use crate::{domain::inbound_event::Provider, webhooks::Verifiers};

/// Maximum concurrent webhooks to one endpoint.
pub const PER_ENDPOINT: usize = 8;

/// Webhooks, inbound and outbound.
#[derive(Debug, Clone)]
pub struct Webhooks {
    /// The signing secrets of each provider; webhooks of a provider without any are not accepted.
    secrets: Vec<(Provider, Vec<SecretString>)>,
    /// Whether endpoints may be in private networks and without TLS. For development only: a user who creates endpoints
    /// can then reach whatever this server can.
    pub allow_private: bool,
    /// Endpoints served concurrently, each with at most [`PER_ENDPOINT`] webhooks.
    pub concurrency: usize,
    /// The longest wait before a webhook's second attempt; it triples with each further attempt.
    pub first_wait: Duration,
    /// How long an endpoint may accept nothing before it is disabled.
    pub patience: Duration,
}

const VARIABLES: [(Provider, &str); 3] = [
    (Provider::Stripe, "WEBHOOK_SECRETS_STRIPE"),
    (Provider::Standard, "WEBHOOK_SECRETS_STANDARD"),
    (Provider::Github, "WEBHOOK_SECRETS_GITHUB"),
];

impl Webhooks {
    pub(super) fn read(read: &mut Reader) -> Self {
        let mut secrets = Vec::new();
        for (provider, variable) in VARIABLES {
            let of = read.secret(variable).map(|text| split(&text)).unwrap_or_default();
            if let Err(fault) = Verifiers::new([(provider, of.as_slice())]) {
                read.fault(variable, fault);
            }
            secrets.push((provider, of));
        }
        Self {
            secrets,
            allow_private: read.parse("WEBHOOK_ALLOW_PRIVATE"),
            concurrency: read.parse("WEBHOOK_CONCURRENCY"),
            first_wait: read.duration("WEBHOOK_FIRST_WAIT"),
            patience: read.duration("WEBHOOK_PATIENCE"),
        }
    }

    /// The secrets, by provider.
    pub fn secrets(&self) -> impl Iterator<Item = (Provider, &[SecretString])> {
        self.secrets.iter().map(|(provider, secrets)| (*provider, secrets.as_slice()))
    }
}

fn split(text: &SecretString) -> Vec<SecretString> {
    let one = |text: &str| SecretString::from(text.trim());
    text.expose_secret().split(',').filter(|text| !text.trim().is_empty()).map(one).collect()
}
