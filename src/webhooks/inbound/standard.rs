//! Senders that follow the [Standard Webhooks](https://www.standardwebhooks.com) specification.

use chrono::{DateTime, Utc};
use http::HeaderMap;

use crate::webhooks::{
    config::{Keys, WebhooksConfig},
    inbound::{
        provider::InboundProvider,
        verifier::{SignedEvent, UNNAMED, Verifier, identifiers},
    },
};
use mainstay_kernel::{config::Config, error::Result};

#[derive(Debug)]
pub(crate) struct Standard(Keys);

impl InboundProvider for Standard {
    const NAME: &'static str = "standard";

    fn open(config: &Config) -> Option<Self> {
        config.section::<WebhooksConfig>().standard.clone().map(Self)
    }
}

impl Verifier for Standard {
    fn verify(&self, headers: &HeaderMap, body: &[u8], now: DateTime<Utc>) -> Result<SignedEvent> {
        let event_id = self.0.verify_standard(headers, body, now)?;
        // The specification recommends a type and does not require one.
        let [kind] = identifiers(body, ["type"])?;
        Ok(SignedEvent { event_id, kind: kind.unwrap_or_else(|| UNNAMED.to_owned()) })
    }
}
