//! Signatures according to the Standard Webhooks specification (github.com/standard-webhooks): `webhook-id`,
//! `webhook-timestamp` and `webhook-signature: v1,… v1,…`, each an HMAC-SHA256 in base64 over
//! `{id}.{timestamp}.{body}`, with the secret that follows `whsec_` in base64.

use chrono::{DateTime, Utc};
use http::HeaderMap;

use crate::webhooks::{
    config::base64,
    inbound::verifier::{Keys, SignedEvent, UNNAMED, Verifier, check_age, forged, header, identifier, identifiers},
};
use mainstay_kernel::error::Result;

const HEADERS: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];
/// The headers of the same scheme at Svix, where it originated, and at Svix's customers.
const SVIX_HEADERS: [&str; 3] = ["svix-id", "svix-timestamp", "svix-signature"];

#[derive(Debug)]
pub(crate) struct Standard(pub(crate) Keys);

impl Verifier for Standard {
    fn verify(&self, headers: &HeaderMap, body: &[u8], now: DateTime<Utc>) -> Result<SignedEvent> {
        let [id, timestamp, signatures] = if headers.contains_key(HEADERS[0]) { HEADERS } else { SVIX_HEADERS };
        let [id, timestamp] = [header(headers, id)?, header(headers, timestamp)?];
        check_age(timestamp, now)?;
        let signatures = header(headers, signatures)?.split(' ');
        let signatures = signatures.filter_map(|signature| base64(signature.strip_prefix("v1,")?));
        let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
        if !self.0.have_signed(&signatures.collect::<Vec<_>>(), &signed) {
            return Err(forged("no signature matches a configured secret"));
        }
        let event_id = identifier(id).ok_or_else(|| forged("the id is malformed"))?;
        // The specification recommends a type and does not require one.
        let [kind] = identifiers(body, ["type"])?;
        Ok(SignedEvent { event_id, kind: kind.unwrap_or_else(|| UNNAMED.to_owned()) })
    }
}
