//! Whom we believe, and whom we tell.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::source::Reader;
use crate::{domain::inbound_event::Provider, webhooks::Verifiers};

/// Webhooks that one endpoint is sent at once.
pub const PER_ENDPOINT: usize = 8;

/// Webhooks, both ways.
#[derive(Debug, Clone)]
pub struct Webhooks {
    /// Of the providers that send webhooks; one without any is not listened to.
    secrets: Vec<(Provider, Vec<SecretString>)>,
    /// Whether endpoints may be in private networks, and without TLS. For development only: whoever makes endpoints
    /// can then reach what this server can.
    pub allow_private: bool,
    /// Endpoints that are told at once, each with [`PER_ENDPOINT`] webhooks at most.
    pub concurrency: usize,
    /// The longest wait before a webhook's second try; it triples with each try after it.
    pub first_wait: Duration,
    /// How long an endpoint may take nothing before it is disabled.
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
