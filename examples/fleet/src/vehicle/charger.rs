//! The events of charging stations, which a signed webhook reports.

use chrono::{DateTime, Utc};
use futures_util::{FutureExt as _, future::BoxFuture};
use mainstay::webhooks::{
    Answer, Challenge, HeaderMap, InboundEventHandler, InboundProvider, Keys, SignedEvent, Verifier, VerifyTokens,
    identifiers, inbound_event::model::InboundEvent, malformed,
};
use mainstay_kernel::{
    config::Config,
    error::{Error, Result},
    unit_of_work::Work,
};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    model::VehicleId,
    recharge::{self, Session},
};
use crate::config::FleetConfig;

/// The charging stations. Their signature is `Charger-Signature: t=…,v1=…`, an HMAC-SHA256 over `{t}.{body}`.
#[derive(Debug)]
pub struct Chargers {
    keys: Keys,
    tokens: Option<VerifyTokens>,
}

impl InboundProvider for Chargers {
    const NAME: &'static str = "fleet.chargers";

    fn open(config: &Config) -> Option<Self> {
        let FleetConfig { charger_keys, charger_tokens, .. } = config.section();
        charger_keys.clone().map(|keys| Self { keys, tokens: charger_tokens.clone() })
    }
}

impl Verifier for Chargers {
    fn verify(&self, headers: &HeaderMap, body: &[u8], now: DateTime<Utc>) -> Result<SignedEvent> {
        self.keys.verify_timed(headers, "charger-signature", body, now)?;
        let [Some(event_id), Some(kind)] = identifiers(body, ["id", "type"])? else {
            return Err(malformed("the event has no id and type"));
        };
        Ok(SignedEvent { event_id, kind })
    }

    /// The makers of the stations verify the URL in three ways: by a signed text, by a token, and by a text alone.
    fn challenge(&self, challenge: Challenge<'_>) -> Option<Answer> {
        match challenge {
            Challenge::Signed { kind: "charger.verification", body } => {
                let [challenge] = identifiers(body, ["challenge"]).ok()?;
                challenge.map(Answer::text)
            }
            Challenge::Signed { .. } => None,
            Challenge::Unsigned(parameters) if !parameters.validation_token.is_empty() => {
                Some(Answer::text(&parameters.validation_token))
            }
            Challenge::Unsigned(parameters) => self.tokens.as_ref()?.subscription(parameters),
        }
    }
}

/// Makes the vehicle of a completed charge available.
#[derive(Debug)]
pub struct ChargeCompleted;

#[derive(Deserialize)]
struct Charge {
    vehicle: VehicleId,
    /// The key of the effect that ordered the session.
    reference: Option<Uuid>,
}

impl InboundEventHandler for ChargeCompleted {
    fn provider(&self) -> &'static str {
        Chargers::NAME
    }

    fn kinds(&self) -> &[&'static str] {
        &["charge.completed"]
    }

    fn handle<'c>(&'c self, work: &'c mut Work, event: &'c InboundEvent) -> BoxFuture<'c, Result<()>> {
        async move {
            // A retry can't help.
            let unexpected = |error| Error::rule("The event has an unexpected form.").caused_by(error);
            let charge: Charge = serde_json::from_slice(event.document()).map_err(unexpected)?;
            let session = Session { id: event.provider_event_id.clone() };
            recharge::charged(work, charge.vehicle, charge.reference, session).await
        }
        .boxed()
    }
}
