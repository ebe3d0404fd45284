//! Whom we believe.

use secrecy::{ExposeSecret as _, SecretString};

use super::source::Reader;
use crate::{domain::inbound_event::Provider, webhooks::Verifiers};

/// Secrets of the providers that send webhooks; a provider without one is not listened to.
#[derive(Debug, Clone)]
pub struct Webhooks {
    secrets: Vec<(Provider, Vec<SecretString>)>,
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
        Self { secrets }
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
