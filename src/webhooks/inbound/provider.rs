//! Providers of events, which modules declare by [`ReceivesEvents::inbound`].

use std::{collections::BTreeMap, sync::Arc};

use mainstay_kernel::{
    config::Config,
    error::{Error, Result},
    module::Module,
};

use crate::webhooks::inbound::verifier::Verifier;

/// A provider of events, and its signature scheme with the secrets of the configuration.
pub trait InboundProvider: Verifier + Sized + 'static {
    /// The name, in the table `inbound_events`, in the API, in metrics and as the last segment of `/webhooks/{provider}`:
    /// lower-case words joined by `_`, after the name of the module and a dot, as in `fleet.parcels`, at most 100
    /// characters. Mainstay's own providers have no name of a module.
    const NAME: &'static str;

    /// Returns the provider; `None` without a secret, and its webhooks are then `NOT_FOUND`. A section of the configuration
    /// reads the secrets, as with [`Keys::read`](crate::webhooks::Keys::read), so that a malformed one stops the start.
    fn open(config: &Config) -> Option<Self>;
}

/// A declared [`InboundProvider`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Declared {
    name: &'static str,
    open: fn(&Config) -> Option<Arc<dyn Verifier>>,
}

/// A module that receives events.
pub trait ReceivesEvents {
    /// Declares a provider of events.
    #[must_use]
    fn inbound<P: InboundProvider>(self) -> Self;
}

impl ReceivesEvents for Module {
    fn inbound<P: InboundProvider>(self) -> Self {
        let open = |config: &Config| P::open(config).map(|provider| Arc::new(provider) as Arc<dyn Verifier>);
        self.needs(&["webhooks"])
            .kind("inbound provider", P::NAME, &["webhooks", "payments"])
            .contribute(Declared { name: P::NAME, open })
    }
}

/// The verifiers of the declared providers, by name; `None` for a provider without a secret. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Verifiers(Arc<BTreeMap<&'static str, Option<Arc<dyn Verifier>>>>);

impl Verifiers {
    /// Opens the providers, and makes their series of the metric exist.
    pub(crate) fn open<'d>(declared: impl Iterator<Item = &'d Declared>, config: &Config) -> Self {
        let all: BTreeMap<_, _> = declared.map(|provider| (provider.name, (provider.open)(config))).collect();
        all.keys().for_each(|name| OUTCOMES.iter().for_each(|outcome| count(name, outcome, 0)));
        Self(Arc::new(all))
    }

    /// Returns the name and the verifier of a provider.
    ///
    /// # Errors
    /// `NOT_FOUND` unless a module declares the provider and it is configured.
    pub fn of(&self, name: &str) -> Result<(&'static str, &dyn Verifier)> {
        let entry = self.0.get_key_value(name).and_then(|(name, verifier)| Some((*name, &**verifier.as_ref()?)));
        entry.ok_or_else(|| Error::not_found("webhook provider"))
    }

    /// Returns the names of all declared providers.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.0.keys().copied().collect()
    }
}

/// The outcomes of a webhook.
pub(crate) const OUTCOMES: [&str; 4] = ["new", "known", "refused", "challenge"];

/// Counts webhooks of a provider.
pub(crate) fn count(provider: &'static str, outcome: &'static str, webhooks: u64) {
    metrics::counter!("mainstay_webhooks_received_total", "provider" => provider, "outcome" => outcome)
        .increment(webhooks);
}
