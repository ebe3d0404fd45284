//! Stripe's webhook signatures and event envelope (<https://docs.stripe.com/api/events/types>).
//!
//! The signature (docs.stripe.com/webhooks/signature) is `Stripe-Signature: t=…,v1=…,v1=…`, each `v1` an HMAC-SHA256 in
//! hex over `{t}.{body}`, with the endpoint's secret as written, including `whsec_`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    payments::gateway::stripe::config::{NAME, StripeConfig},
    webhooks::{
        HeaderMap, InboundProvider, Keys, SignedEvent, Verifier, identifiers, inbound_event::model::InboundEvent,
        malformed,
    },
};
use mainstay_kernel::{
    config::Config,
    error::{Error, Result},
};

/// Stripe as a provider of events.
#[derive(Debug)]
pub(crate) struct StripeWebhooks(Keys);

impl InboundProvider for StripeWebhooks {
    const NAME: &'static str = NAME;

    fn open(config: &Config) -> Option<Self> {
        config.section::<StripeConfig>().webhooks.clone().map(Self)
    }
}

impl Verifier for StripeWebhooks {
    fn verify(&self, headers: &HeaderMap, body: &[u8], now: DateTime<Utc>) -> Result<SignedEvent> {
        self.0.verify_timed(headers, "stripe-signature", body, now)?;
        let [Some(event_id), Some(kind)] = identifiers(body, ["id", "type"])? else {
            return Err(malformed("the event has no id and type of 1 to 255 visible characters"));
        };
        Ok(SignedEvent { event_id, kind })
    }
}

#[derive(Deserialize)]
struct Event<O> {
    data: Data<O>,
}

#[derive(Deserialize)]
struct Data<O> {
    object: O,
}

/// Parses the object of an event, as it was at the time of the event. A retry can't help if its format is unexpected.
pub(crate) fn object<O: DeserializeOwned>(event: &InboundEvent) -> Result<O> {
    let read = serde_json::from_slice::<Event<O>>(event.document());
    Ok(read.map_err(|error| Error::rule("The event has an unexpected form.").caused_by(error))?.data.object)
}
