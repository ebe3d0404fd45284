//! GitHub's signatures (docs.github.com, "Validating webhook deliveries"): `X-Hub-Signature-256: sha256=…`, an
//! HMAC-SHA256 in hex over the body. The body is JSON or, as GitHub suggests for a new webhook, a form whose field
//! `payload` is that JSON; the signature is over the form as it is sent. There is no timestamp, and `X-GitHub-Delivery`, which identifies the event, is not
//! signed: an attacker who has obtained a body can send it again as a new event, so handlers of GitHub's events must be
//! idempotent.

use std::borrow::Cow;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::HeaderMap;
use url::form_urlencoded;

use crate::webhooks::{
    config::{Keys, WebhooksConfig},
    inbound::{
        provider::InboundProvider,
        verifier::{SignedEvent, Verifier, forged, header, identifier, identifiers},
    },
};
use mainstay_kernel::{config::Config, error::Result};

#[derive(Debug)]
pub(crate) struct Github(Keys);

impl InboundProvider for Github {
    const NAME: &'static str = "github";

    fn open(config: &Config) -> Option<Self> {
        config.section::<WebhooksConfig>().github.clone().map(Self)
    }
}

impl Verifier for Github {
    fn verify(&self, headers: &HeaderMap, body: &[u8], _: DateTime<Utc>) -> Result<SignedEvent> {
        self.0.verify_body(headers, "x-hub-signature-256", "sha256=", body)?;
        identifiers(&payload(body), [])?;
        let parse =
            |header: &str| identifier(header).ok_or_else(|| forged("the delivery id or event type is malformed"));
        Ok(SignedEvent {
            event_id: parse(header(headers, "x-github-delivery")?)?,
            kind: parse(header(headers, "x-github-event")?)?,
        })
    }

    fn takes_forms(&self) -> bool {
        true
    }

    fn event(&self, body: Bytes) -> Bytes {
        match payload(&body) {
            Cow::Borrowed(_) => body,
            Cow::Owned(payload) => payload.into(),
        }
    }
}

/// Returns the JSON of a body. No JSON text begins like a form.
fn payload(body: &[u8]) -> Cow<'_, [u8]> {
    let mut fields = form_urlencoded::parse(body);
    match fields.next().filter(|_| body.starts_with(b"payload=")) {
        Some((_, payload)) => Cow::Owned(payload.into_owned().into_bytes()),
        None => Cow::Borrowed(body),
    }
}
