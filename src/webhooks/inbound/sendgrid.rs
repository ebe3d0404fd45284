//! SendGrid's signatures (twilio.com/docs/sendgrid, "Event Webhook Security Features"): ECDSA over P-256 and SHA-256,
//! in base64, over the timestamp and the body. The key is public. One request carries many events and has no id, so the
//! hash of the body serves as its id.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use chrono::{DateTime, Utc};
use http::HeaderMap;
use sha2::{Digest as _, Sha256};

use crate::webhooks::{
    config::{WebhooksConfig, base64},
    inbound::{
        provider::InboundProvider,
        verifier::{SignedEvent, Verifier, check_age, forged, header, identifiers},
    },
};
use mainstay_kernel::{config::Config, error::Result};

/// Points on the curve, any of which may verify a signature.
#[derive(Debug)]
pub(crate) struct SendGrid(Vec<Vec<u8>>);

impl InboundProvider for SendGrid {
    const NAME: &'static str = "sendgrid";

    fn open(config: &Config) -> Option<Self> {
        Some(config.section::<WebhooksConfig>().sendgrid.clone()).filter(|points| !points.is_empty()).map(Self)
    }
}

impl Verifier for SendGrid {
    fn verify(&self, headers: &HeaderMap, body: &[u8], now: DateTime<Utc>) -> Result<SignedEvent> {
        let timestamp = header(headers, "x-twilio-email-event-webhook-timestamp")?;
        check_age(timestamp, now)?;
        let signature = base64(header(headers, "x-twilio-email-event-webhook-signature")?);
        let signature = signature.ok_or_else(|| forged("the signature is malformed"))?;
        let signed = [timestamp.as_bytes(), body].concat();
        let is_by =
            |key: &Vec<u8>| UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key).verify(&signed, &signature).is_ok();
        if !self.0.iter().any(is_by) {
            return Err(forged("no signature matches a configured key"));
        }
        identifiers(body, [])?;
        let event_id = Sha256::digest(&signed).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(SignedEvent { event_id, kind: "events".to_owned() })
    }
}
