//! The settings of Stripe.

use mainstay_kernel::config::{Reader, Requirement, Section, Variable, Verdict, is_https_or_loopback};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::{payments::config::is_selected, webhooks::Keys};

/// The name of the gateway, and of the provider of its events.
pub(crate) const NAME: &str = "stripe";

#[derive(Debug, Clone)]
pub(crate) struct StripeConfig {
    /// The key and the base URL of the API, if Stripe is the gateway.
    pub(crate) api: Option<(SecretString, Url)>,
    /// The keys of webhooks.
    pub(crate) webhooks: Option<Keys>,
}

/// What payments with Stripe need in production.
pub(crate) const PRODUCTION: &[Requirement] = &[Requirement {
    name: "payment-webhooks",
    text: "Stripe reports outcomes, refunds and disputes by webhook",
    check: |config| {
        let StripeConfig { api, webhooks } = config.section();
        Verdict::of(api.is_none() || webhooks.is_some(), "WEBHOOK_SECRETS_STRIPE has no secret")
    },
}];

impl Section for StripeConfig {
    const VARIABLES: &'static [Variable] = &[
        Variable::secret("STRIPE_SECRET_KEY", "Secret API key of Stripe"),
        Variable::plain(
            "STRIPE_BASE_URL",
            "https://api.stripe.com",
            "Base URL of the Stripe API; plain http only for loopback",
        ),
        Variable::secret(
            "WEBHOOK_SECRETS_STRIPE",
            "Signing secrets of Stripe webhooks, separated by commas; if absent, they are not accepted",
        ),
    ];

    fn read(read: &mut Reader) -> Self {
        let webhooks = Keys::read(read, "WEBHOOK_SECRETS_STRIPE");
        let (secret_key, base_url) = (read.secret("STRIPE_SECRET_KEY"), read.parse::<String>("STRIPE_BASE_URL"));
        if !is_selected(read, NAME) {
            return Self { api: None, webhooks };
        }
        match &secret_key {
            None => read.fault("STRIPE_SECRET_KEY", "needed for PAYMENT_GATEWAY=stripe"),
            Some(key) if !["sk_", "rk_"].iter().any(|prefix| key.expose_secret().starts_with(prefix)) => {
                let why = "must be a secret key (sk_…) or a restricted one (rk_…); those that begin with pk_ are for browsers";
                read.fault("STRIPE_SECRET_KEY", why);
            }
            Some(_) => {}
        }
        let base_url = base_url.parse::<Url>().ok().filter(is_https_or_loopback);
        if base_url.is_none() {
            read.fault("STRIPE_BASE_URL", "must be an https URL, or an http one of this machine");
        }
        Self { api: secret_key.zip(base_url), webhooks }
    }
}

impl StripeConfig {
    /// Returns whether the key moves no money. `sk_` is for secret keys, `rk_` for restricted ones:
    /// <https://docs.stripe.com/keys>.
    pub(crate) fn is_test_mode(&self) -> bool {
        let is_test =
            |key: &SecretString| ["sk_test_", "rk_test_"].iter().any(|mode| key.expose_secret().starts_with(mode));
        self.api.as_ref().is_some_and(|(key, _)| is_test(key))
    }
}
