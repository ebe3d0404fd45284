//! The common parts of the signature schemes.

use std::{array, fmt, str};

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderMap;
use serde::{
    Deserializer as _,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;

use crate::{
    proto::webhooks::v1::Reason as WebhooksReason,
    webhooks::{
        config::{Keys, base64},
        inbound::challenge::{Answer, Challenge},
        inbound_event::model::without_mark,
    },
};
use mainstay_kernel::error::{Error, Reason, Result};

/// The identification of a signed event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedEvent {
    /// The provider's id for the event, which is the same each time it is sent: 1 to 255 visible ASCII characters.
    pub event_id: String,
    /// The type of the event, as the provider names it, likewise.
    pub kind: String,
}

impl SignedEvent {
    /// Checks that the id and the type have 1 to 255 visible ASCII characters.
    ///
    /// # Errors
    /// `MALFORMED_REQUEST`.
    pub(crate) fn check(self) -> Result<Self> {
        let is_usable = [&self.event_id, &self.kind].into_iter().all(|text| identifier(text).is_some());
        if is_usable { Ok(self) } else { Err(malformed("the event has no id and type of 1 to 255 visible characters")) }
    }
}

/// The signature scheme of a provider.
pub trait Verifier: fmt::Debug + Send + Sync {
    /// Verifies the signature over the exact bytes of the body, in constant time, and returns the event's id and type.
    ///
    /// # Errors
    /// `INVALID_SIGNATURE` unless the body has a recent signature by one of the secrets; `MALFORMED_REQUEST` if
    /// the signed body is not an event.
    fn verify(&self, headers: &HeaderMap, body: &[u8], now: DateTime<Utc>) -> Result<SignedEvent>;

    /// Returns whether the provider may send the event in a form instead of as JSON.
    fn takes_forms(&self) -> bool {
        false
    }

    /// Answers a challenge. `None`, the default: the request is no challenge that the provider sends, so that a signed body
    /// is an event, and an unsigned request is refused.
    fn challenge(&self, challenge: Challenge<'_>) -> Option<Answer> {
        let _ = challenge;
        None
    }

    /// Returns the event in a verified body: the body itself, unless the provider wraps it.
    fn event(&self, body: Bytes) -> Bytes {
        body
    }
}

impl Keys {
    /// Verifies a signature over the body in hexadecimal digits, after a prefix, as GitHub sends `sha256=…`.
    ///
    /// # Errors
    /// `INVALID_SIGNATURE`.
    pub fn verify_body(&self, headers: &HeaderMap, name: &str, prefix: &str, body: &[u8]) -> Result<()> {
        let signature = header(headers, name)?.strip_prefix(prefix).and_then(hex);
        self.verify(&[signature.ok_or_else(|| forged("the signature is malformed"))?], &[body])
    }

    /// Verifies signatures over `{timestamp}.{body}` in hexadecimal digits, in a header of the form `t=…,v1=…`, as Stripe
    /// sends it. While a secret is rolled, there is a `v1` for each secret; other schemes are ignored, which prevents
    /// downgrade attacks. The time may differ from `now` by 300 s in either direction.
    ///
    /// # Errors
    /// `INVALID_SIGNATURE`.
    pub fn verify_timed(&self, headers: &HeaderMap, name: &str, body: &[u8], now: DateTime<Utc>) -> Result<()> {
        let (mut timestamp, mut signatures) = (None, Vec::new());
        for (scheme, value) in header(headers, name)?.split(',').filter_map(|part| part.split_once('=')) {
            match scheme.trim() {
                "t" if timestamp.is_none() => timestamp = Some(value.trim()),
                "t" => return Err(forged("there are two timestamps")),
                "v1" => signatures.extend(hex(value.trim())),
                _ => {}
            }
        }
        let timestamp = timestamp.ok_or_else(|| forged("there is no timestamp"))?;
        check_age(timestamp, now)?;
        self.verify(&signatures, &[timestamp.as_bytes(), b".", body])
    }

    /// Verifies signatures according to the [Standard Webhooks](https://www.standardwebhooks.com) specification, and
    /// returns the event's id: `webhook-id`, `webhook-timestamp` and `webhook-signature: v1,… v1,…`, each an HMAC-SHA256 in
    /// base64 over `{id}.{timestamp}.{body}`. The time may differ from `now` by 300 s in either direction.
    ///
    /// # Errors
    /// `INVALID_SIGNATURE`.
    pub fn verify_standard(&self, headers: &HeaderMap, body: &[u8], now: DateTime<Utc>) -> Result<String> {
        const NAMES: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];
        // The headers of the same scheme at Svix, where it originated, and at Svix's customers.
        const SVIX_NAMES: [&str; 3] = ["svix-id", "svix-timestamp", "svix-signature"];
        let [id, timestamp, signatures] = if headers.contains_key(NAMES[0]) { NAMES } else { SVIX_NAMES };
        let [id, timestamp] = [header(headers, id)?, header(headers, timestamp)?];
        check_age(timestamp, now)?;
        let signatures = header(headers, signatures)?.split(' ');
        let signatures = signatures.filter_map(|signature| base64(signature.strip_prefix("v1,")?));
        let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
        self.verify(&signatures.collect::<Vec<_>>(), &signed)?;
        identifier(id).ok_or_else(|| forged("the id is malformed"))
    }

    /// Verifies that one of the keys made one of the signatures of these parts.
    pub(crate) fn verify(&self, signatures: &[Vec<u8>], signed: &[&[u8]]) -> Result<()> {
        let is_signed = self.have_signed(signatures, signed);
        if is_signed { Ok(()) } else { Err(forged("no signature matches a configured secret")) }
    }

    /// Returns whether one of the keys made one of the signatures of these parts. The body is hashed once per key,
    /// regardless of the number of signatures, and not copied. The comparison takes constant time.
    fn have_signed(&self, signatures: &[Vec<u8>], signed: &[&[u8]]) -> bool {
        self.0.iter().any(|key| {
            let mut context = hmac::Context::with_key(key);
            signed.iter().for_each(|part| context.update(part));
            let expected = context.sign();
            let is_valid = |signature: &Vec<u8>| verify_slices_are_equal(expected.as_ref(), signature).is_ok();
            signatures.iter().any(is_valid)
        })
    }
}

/// The maximum difference between a signature's time and the server's, in both directions. The vendors' libraries use
/// the same value, and both clocks are inexact. An event that is replayed within that time is recognized by its id.
const TOLERANCE: TimeDelta = TimeDelta::seconds(300);

/// Rejects signatures that are more than 300 s old or from the future. `timestamp` is in seconds since 1970.
///
/// # Errors
/// `INVALID_SIGNATURE`.
pub fn check_age(timestamp: &str, now: DateTime<Utc>) -> Result<()> {
    let digits = !timestamp.is_empty() && timestamp.bytes().all(|byte| byte.is_ascii_digit());
    let signed = timestamp.parse().ok().filter(|_| digits).and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    check_time(signed.ok_or_else(|| forged("the timestamp is malformed"))?, now)
}

/// Rejects times that are too far from now.
pub(crate) fn check_time(signed: DateTime<Utc>, now: DateTime<Utc>) -> Result<()> {
    // A timestamp is truncated to the second, so the fraction must not count as age.
    match now.timestamp() - signed.timestamp() {
        age if age > TOLERANCE.num_seconds() => Err(forged("it was signed too long ago")),
        age if age < -TOLERANCE.num_seconds() => Err(forged("it was signed in the future")),
        _ => Ok(()),
    }
}

/// Returns the only value of a header.
///
/// # Errors
/// `INVALID_SIGNATURE` if it is missing, or if there are two.
pub fn header<'h>(headers: &'h HeaderMap, name: &str) -> Result<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok());
    value.ok_or_else(|| forged("a header is missing, or there are two"))
}

/// Returns the error `INVALID_SIGNATURE`. The caller learns only that the signature is invalid; the reason is logged.
pub fn forged(why: &'static str) -> Error {
    Error::new(WebhooksReason::InvalidSignature).caused_by(anyhow::anyhow!(why))
}

/// The type of an event that has none.
pub(crate) const UNNAMED: &str = "event";

/// Returns the ids and types in these fields of a JSON text; `None` where there is none.
///
/// Everything else is skipped, because JSON admits more than this server could represent: single surrogates in values,
/// numbers of any size, and any depth (RFC 8259).
///
/// # Errors
/// `MALFORMED_REQUEST` for other text.
pub fn identifiers<const N: usize>(body: &[u8], fields: [&str; N]) -> Result<[Option<String>; N]> {
    let is_json = |text: &&str| serde_json::from_str::<IgnoredAny>(text).is_ok();
    let json = str::from_utf8(without_mark(body)).ok().filter(is_json);
    let json = json.ok_or_else(|| malformed("the event is not JSON"))?;
    let found = serde_json::Deserializer::from_str(json).deserialize_map(Fields(fields));
    Ok(found.unwrap_or_else(|_| array::from_fn(|_| None)))
}

struct Fields<'n, const N: usize>([&'n str; N]);

impl<'de, const N: usize> Visitor<'de> for Fields<'_, N> {
    type Value = [Option<String>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = array::from_fn(|_| None);
        while let Some(field) = map.next_key::<String>()? {
            if !self.0.contains(&field.as_str()) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = map.next_value::<Value>()?;
            for (found, _) in found.iter_mut().zip(self.0).filter(|(_, name)| *name == field) {
                *found = value.as_str().and_then(identifier);
            }
        }
        Ok(found)
    }
}

/// Returns a text that is a plausible id or type.
pub(crate) fn identifier(text: &str) -> Option<String> {
    let good = (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    good.then(|| text.to_owned())
}

/// Returns the error of a signed body that is not an event, `MALFORMED_REQUEST`.
pub fn malformed(message: &str) -> Error {
    Error::with_message(Reason::MalformedRequest, "The signed body is not an event.")
        .about(vec![("body".to_owned(), message.to_owned())])
}

/// Decodes hexadecimal.
pub(crate) fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect();
    if rest.is_empty() { bytes } else { None }
}
