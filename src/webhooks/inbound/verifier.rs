//! The common parts of the signature schemes.

use std::fmt;

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderMap;
use secrecy::{ExposeSecret as _, SecretString};

use crate::proto::webhooks::v1::Reason as WebhooksReason;
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

    /// Returns the media types that the provider sends.
    fn media_types(&self) -> &'static [&'static str] {
        &["application/json"]
    }

    /// Returns the event in a verified body: the body itself, unless the provider wraps it.
    fn event(&self, body: Bytes) -> Bytes {
        body
    }
}

/// HMAC-SHA256 keys, any of which may have signed.
pub(crate) struct Keys(Vec<hmac::Key>);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

impl Keys {
    /// Returns whether one of the keys made one of the signatures. The body is hashed once per key, regardless of the
    /// number of signatures, and the comparison takes constant time.
    pub(crate) fn have_signed(&self, signatures: &[Vec<u8>], signed: &[u8]) -> bool {
        self.0.iter().any(|key| {
            let expected = hmac::sign(key, signed);
            let is_valid = |signature: &Vec<u8>| verify_slices_are_equal(expected.as_ref(), signature).is_ok();
            signatures.iter().any(is_valid)
        })
    }
}

pub(crate) fn keys(
    secrets: &[SecretString],
    read: impl Fn(&str) -> Result<Vec<u8>, &'static str>,
) -> Result<Keys, &'static str> {
    let key = |bytes: Vec<u8>| hmac::Key::new(hmac::HMAC_SHA256, &bytes);
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

/// Returns the text in a field of the event.
pub(crate) fn text(event: &serde_json::Value, field: &str) -> Result<String> {
    let text = event[field].as_str().unwrap_or_default();
    identifier(text).ok_or_else(|| malformed(format!("the event has no {field} of 1 to 255 visible characters")))
}

/// Returns a text that is a plausible id or type.
pub(crate) fn identifier(text: &str) -> Option<String> {
    let good = (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    good.then(|| text.to_owned())
}

pub(crate) fn parse_event(body: &[u8]) -> Result<serde_json::Value> {
    serde_json::from_slice(body).map_err(|_| malformed("the event is not JSON".to_owned()))
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
