//! Inbound webhooks: verification of signatures, and handlers of events.
//!
//! ```text
//!   raw body ─ Verifier ─▶ event + job in one transaction ─ 2xx │ job ─ InboundEventHandler, in one transaction ─▶ processed
//! ```
//!
//! A [`Verifier`] implements the signature scheme of one provider. Its secrets are configured, several at once during
//! rotation; a provider without a secret is not available. A [`InboundEventHandler`] implements the effects of some types of
//! events.

mod generic;
mod github;
pub mod handlers;
mod sendgrid;
mod standard;
pub(crate) mod stripe;
#[cfg(test)]
mod tests;
mod verifier;

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use crate::webhooks::{
    config::{self, Algorithm, GenericScheme},
    inbound_event::model::Provider,
};
use mainstay_kernel::error::{Error, Result};

use verifier::keys;
pub use verifier::{SignedEvent, Verifier};

/// The verifiers of the configured providers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Verifiers(Arc<[(Provider, Box<dyn Verifier>)]>);

impl Verifiers {
    /// Creates verifiers from secrets; a provider without a secret is left out. `scheme` is the scheme of
    /// [`Provider::Generic`], which the operator describes.
    ///
    /// # Errors
    /// A description of the fault in a secret, which never contains the secret.
    pub(crate) fn new<'a>(
        secrets: impl IntoIterator<Item = (Provider, &'a [SecretString])>,
        scheme: &GenericScheme,
    ) -> Result<Self, &'static str> {
        let configured = secrets.into_iter().filter(|(_, secrets)| !secrets.is_empty());
        let all: Result<Vec<_>, _> = configured
            .map(|(provider, secrets)| verifier(provider, secrets, scheme).map(|verifier| (provider, verifier)))
            .collect();
        Ok(Self(all?.into()))
    }

    /// Returns the verifier of a provider.
    ///
    /// # Errors
    /// `NOT_FOUND` unless the provider is configured.
    pub fn of(&self, provider: Provider) -> Result<&dyn Verifier> {
        let entry = self.0.iter().find(|(other, _)| *other == provider);
        entry.map(|(_, verifier)| &**verifier).ok_or_else(|| Error::not_found("webhook provider"))
    }
}

fn verifier(
    provider: Provider,
    secrets: &[SecretString],
    scheme: &GenericScheme,
) -> Result<Box<dyn Verifier>, &'static str> {
    let decode = |text: &str| config::decode(provider, text);
    let keys = |algorithm| keys(algorithm, secrets, decode);
    Ok(match provider {
        Provider::Stripe => Box::new(stripe::Stripe(keys(Algorithm::Sha256)?)),
        Provider::Standard => Box::new(standard::Standard(keys(Algorithm::Sha256)?)),
        Provider::Github => Box::new(github::Github(keys(Algorithm::Sha256)?)),
        Provider::Generic => Box::new(generic::Generic { keys: keys(scheme.algorithm)?, scheme: scheme.clone() }),
        Provider::Sendgrid => {
            let points = secrets.iter().map(|text| decode(text.expose_secret())).collect::<Result<_, _>>()?;
            Box::new(sendgrid::SendGrid(points))
        }
    })
}
