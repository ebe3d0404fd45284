//! Signatures of a provider of the operator's choice: an HMAC, in the header, the encoding and over the text that
//! the configuration names. A type in a header is not signed, nor is an id in a header, unless the signed text contains
//! `{id}`; without a timestamp, an attacker who has obtained a body can send it again, as a new event if its id is in a
//! header and not signed. So handlers of such events must be idempotent.

use chrono::{DateTime, Utc};
use http::HeaderMap;
use sha2::{Digest as _, Sha256};

use crate::webhooks::{
    config::{Encoding, GenericScheme, Keys, VerifyTokens, WebhooksConfig, base64},
    inbound::{
        challenge::{Answer, Challenge},
        provider::InboundProvider,
        verifier::{SignedEvent, UNNAMED, Verifier, check_time, forged, header, hex, identifier, identifiers},
    },
};
use mainstay_kernel::{config::Config, error::Result};

#[derive(Debug)]
pub(crate) struct Generic {
    keys: Keys,
    tokens: Option<VerifyTokens>,
    scheme: GenericScheme,
}

/// The types of the challenges of Slack and Twitch, which contain the answer as `challenge`.
const CHALLENGES: [&str; 2] = ["url_verification", "webhook_callback_verification"];

impl InboundProvider for Generic {
    const NAME: &'static str = "generic";

    fn open(config: &Config) -> Option<Self> {
        let WebhooksConfig { generic, generic_tokens, scheme, .. } = config.section();
        generic.clone().map(|keys| Self { keys, tokens: generic_tokens.clone(), scheme: scheme.clone() })
    }
}

impl Verifier for Generic {
    fn verify(&self, headers: &HeaderMap, body: &[u8], now: DateTime<Utc>) -> Result<SignedEvent> {
        let scheme = &self.scheme;
        let signature = scheme.prefix.split(header(headers, scheme.signature_header.as_str())?);
        let (timestamp, signatures) = signature.ok_or_else(|| forged("the signature is malformed"))?;
        let timestamp = match &scheme.timestamp_header {
            Some(name) => header(headers, name.as_str())?,
            None => timestamp,
        };
        if scheme.timestamp_header.is_some() || scheme.prefix.has_timestamp() {
            check_time(time(timestamp).ok_or_else(|| forged("the timestamp is malformed"))?, now)?;
        }
        let named = |name| identifier(header(headers, name)?).ok_or_else(|| forged("the id or the type is malformed"));
        let signed_id = match &scheme.id_header {
            Some(name) if scheme.signed.has_id() => named(name.as_str())?,
            _ => String::new(),
        };
        let signatures: Vec<_> = signatures.iter().filter_map(|text| decode(scheme.encoding, text)).collect();
        let [before, after] = scheme.signed.around(timestamp, &signed_id);
        self.keys.verify(&signatures, &[before.as_bytes(), body, after.as_bytes()])?;
        let [id, kind] = identifiers(body, [scheme.id_field.as_deref().unwrap_or_default(), "type"])?;
        // Not the field `id` by default, which is often that of the resource: its second event would count as a repetition.
        // Not of the timestamp either, which is another one when the provider sends the event again.
        let hash = || Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(SignedEvent {
            event_id: match (&scheme.id_header, &scheme.id_field) {
                (Some(name), _) => named(name.as_str())?,
                (None, Some(_)) => id.ok_or_else(|| forged("the event has no id"))?,
                (None, None) => hash(),
            },
            kind: match &scheme.type_header {
                Some(name) => named(name.as_str())?,
                None => kind.unwrap_or_else(|| UNNAMED.to_owned()),
            },
        })
    }

    fn challenge(&self, challenge: Challenge<'_>) -> Option<Answer> {
        match challenge {
            Challenge::Signed { kind, body } if CHALLENGES.contains(&kind) => {
                let [challenge] = identifiers(body, ["challenge"]).ok()?;
                challenge.map(Answer::text)
            }
            Challenge::Signed { .. } => None,
            Challenge::Unsigned(parameters) => self.tokens.as_ref()?.subscription(parameters),
        }
    }
}

fn decode(encoding: Encoding, text: &str) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Hex => hex(text),
        Encoding::Base64 => base64(text),
    }
}

/// Reads a time of any form that providers send: a number since the epoch, a time according to RFC 3339, or a date of HTTP
/// (RFC 9110, section 5.6.7). The number of digits tells its unit: as seconds, 12 digits are the year 5138; as
/// milliseconds, 1973. A fraction is below the tolerance.
fn time(text: &str) -> Option<DateTime<Utc>> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let whole = text.split_once('.').filter(|(_, fraction)| is_number(fraction)).map_or(text, |(whole, _)| whole);
    if !is_number(whole) {
        let time = DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_rfc2822(text));
        return time.ok().map(|time| time.to_utc());
    }
    let number: i64 = whole.parse().ok()?;
    match whole.len() {
        ..12 => DateTime::from_timestamp(number, 0),
        12..15 => DateTime::from_timestamp_millis(number),
        15..18 => DateTime::from_timestamp_micros(number),
        _ => Some(DateTime::from_timestamp_nanos(number)),
    }
}
