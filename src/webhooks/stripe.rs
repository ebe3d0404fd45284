//! As Stripe signs (docs.stripe.com/webhooks/signature): `Stripe-Signature: t=…,v1=…,v1=…`, each `v1` an HMAC-SHA256 in
//! hex over `{t}.{body}`, under the endpoint's secret as it is written, `whsec_` and all. While a secret is rolled
//! there is a `v1` for each; other schemes are ignored, so that none can be downgraded to.

use chrono::{DateTime, Utc};
use http::HeaderMap;

use super::{Keys, Told, Verifier, check_age, event, forged, header, text};
use crate::error::Result;

#[derive(Debug)]
pub(super) struct Stripe(pub(super) Keys);

impl Verifier for Stripe {
    fn verify(&self, headers: &HeaderMap, body: &[u8], now: DateTime<Utc>) -> Result<Told> {
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
        let signed = [timestamp.as_bytes(), b".", body].concat();
        if !self.0.made(&signatures, &signed) {
            return Err(forged("no signature is of a secret of ours"));
        }
        check_age(timestamp, now)?;
        let event = event(body)?;
        Ok(Told { event_id: text(&event, "id")?, kind: text(&event, "type")? })
    }
}

/// Bytes in hexadecimal.
pub(super) fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect();
    if rest.is_empty() { bytes } else { None }
}
