//! Stripe's webhook signatures and event envelope (<https://docs.stripe.com/api/events/types>).
//!
//! The signature (docs.stripe.com/webhooks/signature) is `Stripe-Signature: t=…,v1=…,v1=…`, each `v1` an HMAC-SHA256 in
//! hex over `{t}.{body}`, with the endpoint's secret as written, including `whsec_`. While a secret is rolled, there is
//! a `v1` for each secret; other schemes are ignored, which prevents downgrade attacks.

use chrono::{DateTime, Utc};
use http::HeaderMap;
use serde::{Deserialize, de::DeserializeOwned};

use crate::webhooks::{
    inbound::verifier::{Keys, SignedEvent, Verifier, check_age, forged, header, hex, identifiers, malformed},
    inbound_event::model::InboundEvent,
};
use mainstay_kernel::error::{Error, Result};

/// The name of the gateway that the events are about.
pub(crate) const NAME: &str = "stripe";

#[derive(Debug)]
pub(crate) struct Stripe(pub(crate) Keys);

impl Verifier for Stripe {
    fn verify(&self, headers: &HeaderMap, body: &[u8], now: DateTime<Utc>) -> Result<SignedEvent> {
        let (mut timestamp, mut signatures) = (None, Vec::new());
        for (scheme, value) in header(headers, "stripe-signature")?.split(',').filter_map(|part| part.split_once('=')) {
            match scheme.trim() {
                "t" if timestamp.is_none() => timestamp = Some(value.trim()),
                "t" => return Err(forged("there are two timestamps")),
                "v1" => signatures.extend(hex(value.trim())),
                _ => {}
            }
        }
        let timestamp = timestamp.ok_or_else(|| forged("there is no timestamp"))?;
        check_age(timestamp, now)?;
        if !self.0.have_signed(&signatures, &[timestamp.as_bytes(), b".", body]) {
            return Err(forged("no signature matches a configured secret"));
        }
        let [Some(event_id), Some(kind)] = identifiers(body, ["id", "type"])? else {
            return Err(malformed("the event has no id and type of 1 to 255 visible characters".to_owned()));
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
