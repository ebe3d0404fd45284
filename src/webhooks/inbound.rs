//! Inbound webhooks: verification of signatures, and handlers of events.
//!
//! ```text
//!   raw body ─ Verifier ─▶ event + job in one transaction ─ 2xx │ job ─ Handler, in one transaction ─▶ processed
//! ```
//!
//! A [`Verifier`] implements the signature scheme of one provider. Its secrets are configured, several at once during
//! rotation; a provider without a secret is not available. A [`Handler`] implements the effects of some types of
//! events.

mod github;
pub mod handlers;
mod standard;
pub(crate) mod stripe;
#[cfg(test)]
mod tests;

use crate::proto::webhooks::v1::Reason as WebhooksReason;
use std::{fmt, sync::Arc};

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};
use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderMap;
use secrecy::{ExposeSecret as _, SecretString};

use crate::webhooks::inbound_event::model::Provider;
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
}

/// The verifiers of the configured providers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Verifiers(Arc<[(Provider, Box<dyn Verifier>)]>);

impl Verifiers {
    /// Creates verifiers from secrets; a provider without a secret is left out.
    ///
    /// # Errors
    /// A description of what is wrong with a secret. Never contains the secret.
    pub fn new<'a>(secrets: impl IntoIterator<Item = (Provider, &'a [SecretString])>) -> Result<Self, &'static str> {
        let configured = secrets.into_iter().filter(|(_, secrets)| !secrets.is_empty());
        let all: Result<Vec<_>, _> =
            configured.map(|(provider, secrets)| verifier(provider, secrets).map(|found| (provider, found))).collect();
        Ok(Self(all?.into()))
    }

    /// Returns the verifier of a provider.
    ///
    /// # Errors
    /// `NOT_FOUND` unless it is configured.
    pub fn of(&self, provider: Provider) -> Result<&dyn Verifier> {
        let found = self.0.iter().find(|(known, _)| *known == provider);
        found.map(|(_, verifier)| &**verifier).ok_or_else(|| Error::not_found("webhook provider"))
    }
}

fn verifier(provider: Provider, secrets: &[SecretString]) -> Result<Box<dyn Verifier>, &'static str> {
    Ok(match provider {
        Provider::Stripe => Box::new(stripe::Stripe(keys(secrets, plain)?)),
        Provider::Standard => Box::new(standard::Standard(keys(secrets, standard::secret)?)),
        Provider::Github => Box::new(github::Github(keys(secrets, plain)?)),
    })
}

/// HMAC-SHA256 keys, any of which may have signed.
pub(crate) struct Keys(Vec<hmac::Key>);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

impl Keys {
    /// Returns whether one of the keys made one of the signatures. The body is hashed once per key, however many
    /// signatures the request has, and the time of a comparison does not depend on its result.
    fn made(&self, signatures: &[Vec<u8>], signed: &[u8]) -> bool {
        self.0.iter().any(|key| {
            let made = hmac::sign(key, signed);
            let is_made = |signature: &Vec<u8>| verify_slices_are_equal(made.as_ref(), signature).is_ok();
            signatures.iter().any(is_made)
        })
    }
}

fn keys(secrets: &[SecretString], read: fn(&str) -> Result<Vec<u8>, &'static str>) -> Result<Keys, &'static str> {
    let key = |bytes: Vec<u8>| hmac::Key::new(hmac::HMAC_SHA256, &bytes);
    let keys: Result<_, _> = secrets.iter().map(|secret| read(secret.expose_secret()).map(key)).collect();
    Ok(Keys(keys?))
}

/// Reads a secret that is used as plain text.
fn plain(secret: &str) -> Result<Vec<u8>, &'static str> {
    let good = secret.len() >= 16 && secret.bytes().all(|byte| byte.is_ascii_graphic());
    if good { Ok(secret.into()) } else { Err("must be secrets of 16 visible characters at least, separated by commas") }
}

/// The maximum age of a signature.
const OLDEST: TimeDelta = TimeDelta::seconds(300);
/// How far the provider's clock may be ahead. A signature from further in the future could have been held back to be
/// replayed later.
const AHEAD: TimeDelta = TimeDelta::seconds(5);

/// Rejects signatures that are too old or from the future. `timestamp` is in seconds.
fn check_age(timestamp: &str, now: DateTime<Utc>) -> Result<()> {
    let digits = !timestamp.is_empty() && timestamp.bytes().all(|byte| byte.is_ascii_digit());
    let signed = timestamp.parse().ok().filter(|_| digits).and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let signed = signed.ok_or_else(|| forged("the timestamp is none"))?;
    // The timestamp is truncated to the second, which must not count against it.
    match now.timestamp() - signed.timestamp() {
        age if age > OLDEST.num_seconds() => Err(forged("it was signed too long ago")),
        age if age < -AHEAD.num_seconds() => Err(forged("it was signed in the future")),
        _ => Ok(()),
    }
}

/// Returns the only value of a header.
fn header<'h>(headers: &'h HeaderMap, name: &str) -> Result<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok());
    value.ok_or_else(|| forged("a header is missing, or there are two"))
}

/// The caller learns only that the signature is invalid; the reason is logged.
fn forged(why: &'static str) -> Error {
    Error::new(WebhooksReason::InvalidSignature).caused_by(anyhow::anyhow!(why))
}

/// Returns the text in a field of the event.
fn text(event: &serde_json::Value, field: &str) -> Result<String> {
    let text = event[field].as_str().unwrap_or_default();
    named(text).ok_or_else(|| malformed(format!("the event has no {field} of 1 to 255 visible characters")))
}

/// Returns a text that is a plausible id or type.
fn named(text: &str) -> Option<String> {
    let good = (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    good.then(|| text.to_owned())
}

fn event(body: &[u8]) -> Result<serde_json::Value> {
    serde_json::from_slice(body).map_err(|_| malformed("the event is not JSON".to_owned()))
}

fn malformed(message: String) -> Error {
    Error::with_message(Reason::MalformedRequest, "The signed body is not an event.")
        .about(vec![("body".to_owned(), message)])
}
