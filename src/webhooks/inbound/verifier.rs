//! The common parts of the signature schemes.

use std::{array, fmt, str};

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderMap;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{
    Deserializer as _,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;

use crate::{
    proto::webhooks::v1::Reason as WebhooksReason,
    webhooks::{config::Algorithm, inbound_event::model::without_mark},
};
use mainstay_kernel::error::{Error, Reason, Result};

/// The identification of a signed event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedEvent {
    /// The provider's id for the event, which is the same each time it is sent.
    pub event_id: String,
    /// The type of the event, as the provider names it.
    pub kind: String,
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

    /// Returns the event in a verified body: the body itself, unless the provider wraps it.
    fn event(&self, body: Bytes) -> Bytes {
        body
    }
}

/// HMAC keys, any of which may have signed.
pub(crate) struct Keys(Vec<hmac::Key>);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

impl Keys {
    /// Returns whether one of the keys made one of the signatures of these parts. The body is hashed once per key,
    /// regardless of the number of signatures, and not copied. The comparison takes constant time.
    pub(crate) fn have_signed(&self, signatures: &[Vec<u8>], signed: &[&[u8]]) -> bool {
        self.0.iter().any(|key| {
            let mut context = hmac::Context::with_key(key);
            signed.iter().for_each(|part| context.update(part));
            let expected = context.sign();
            let is_valid = |signature: &Vec<u8>| verify_slices_are_equal(expected.as_ref(), signature).is_ok();
            signatures.iter().any(is_valid)
        })
    }
}

pub(crate) fn keys(
    algorithm: Algorithm,
    secrets: &[SecretString],
    read: impl Fn(&str) -> Result<Vec<u8>, &'static str>,
) -> Result<Keys, &'static str> {
    let algorithm = match algorithm {
        Algorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Algorithm::Sha256 => hmac::HMAC_SHA256,
        Algorithm::Sha512 => hmac::HMAC_SHA512,
    };
    let key = |bytes: Vec<u8>| hmac::Key::new(algorithm, &bytes);
    let keys: Result<_, _> = secrets.iter().map(|secret| read(secret.expose_secret()).map(key)).collect();
    Ok(Keys(keys?))
}

/// The maximum difference between a signature's time and the server's, in both directions. The vendors' libraries use
/// the same value, and both clocks are inexact. An event that is replayed within that time is recognized by its id.
const TOLERANCE: TimeDelta = TimeDelta::seconds(300);

/// Rejects signatures that are too old or from the future. `timestamp` is in seconds.
pub(crate) fn check_age(timestamp: &str, now: DateTime<Utc>) -> Result<()> {
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
pub(crate) fn header<'h>(headers: &'h HeaderMap, name: &str) -> Result<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok());
    value.ok_or_else(|| forged("a header is missing, or there are two"))
}

/// The caller learns only that the signature is invalid; the reason is logged.
pub(crate) fn forged(why: &'static str) -> Error {
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
pub(crate) fn identifiers<const N: usize>(body: &[u8], fields: [&str; N]) -> Result<[Option<String>; N]> {
    let is_json = |text: &&str| serde_json::from_str::<IgnoredAny>(text).is_ok();
    let json = str::from_utf8(without_mark(body)).ok().filter(is_json);
    let json = json.ok_or_else(|| malformed("the event is not JSON".to_owned()))?;
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

pub(crate) fn malformed(message: String) -> Error {
    Error::with_message(Reason::MalformedRequest, "The signed body is not an event.")
        .about(vec![("body".to_owned(), message)])
}

/// Decodes hexadecimal.
pub(crate) fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect();
    if rest.is_empty() { bytes } else { None }
}
