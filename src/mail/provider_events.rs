//! Webhook events of mail providers: bounces and complaints, which suppress an address.

use futures_util::{FutureExt as _, future::BoxFuture};
use serde::Deserialize;

use crate::{
    mail::suppression::{model::Reason, ops::suppress},
    webhooks::{InboundEventHandler, inbound_event::model::InboundEvent},
};
use mainstay_kernel::{
    error::{Error, Result},
    unit_of_work::Work,
};

const BOUNCED: &str = "email.bounced";
const COMPLAINED: &str = "email.complained";

/// Handles Resend's events (<https://resend.com/docs/dashboard/webhooks/event-types>), which are Standard Webhooks.
#[derive(Debug)]
pub(crate) struct ResendEvents;

#[derive(Deserialize)]
struct ResendEvent {
    data: ResendMail,
}

#[derive(Deserialize)]
struct ResendMail {
    to: Vec<String>,
    #[serde(default)]
    bounce: Bounce,
}

#[derive(Default, Deserialize)]
struct Bounce {
    #[serde(default, rename = "type")]
    kind: String,
}

/// An event of an unexpected form is not retried, because a retry can't help.
fn unexpected(error: serde_json::Error) -> Error {
    Error::rule("The event has an unexpected form.").caused_by(error)
}

impl InboundEventHandler for ResendEvents {
    fn provider(&self) -> &'static str {
        "standard"
    }

    fn kinds(&self) -> &[&'static str] {
        const { &[BOUNCED, COMPLAINED] }
    }

    fn handle<'c>(&'c self, work: &'c mut Work, event: &'c InboundEvent) -> BoxFuture<'c, Result<()>> {
        async move {
            let now = work.now();
            let ResendEvent { data } = serde_json::from_slice(event.document()).map_err(unexpected)?;
            let reason = match event.kind.as_str() {
                COMPLAINED => Reason::Complaint,
                _ if data.bounce.kind == "Permanent" => Reason::Bounce,
                // A full mailbox, or a server that was unavailable.
                _ => return Ok(()),
            };
            for address in &data.to {
                suppress(work.connection().await?, address, reason, now).await?;
            }
            Ok(())
        }
        .boxed()
    }
}

/// Handles SendGrid's events (<https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event>), which come
/// in batches.
#[derive(Debug)]
pub(crate) struct SendGridEvents;

#[derive(Deserialize)]
struct SendGridEvent {
    #[serde(default)]
    email: String,
    event: String,
    #[serde(default, rename = "type")]
    kind: String,
}

impl InboundEventHandler for SendGridEvents {
    fn provider(&self) -> &'static str {
        "sendgrid"
    }

    fn kinds(&self) -> &[&'static str] {
        const { &["events"] }
    }

    fn handle<'c>(&'c self, work: &'c mut Work, event: &'c InboundEvent) -> BoxFuture<'c, Result<()>> {
        async move {
            let now = work.now();
            let events: Vec<SendGridEvent> = serde_json::from_slice(event.document()).map_err(unexpected)?;
            for SendGridEvent { email, event, kind } in events {
                let reason = match (event.as_str(), kind.as_str()) {
                    ("spamreport", _) => Reason::Complaint,
                    // The other subtype is "blocked", which may be temporary.
                    ("bounce", "bounce") => Reason::Bounce,
                    _ => continue,
                };
                suppress(work.connection().await?, &email, reason, now).await?;
            }
            Ok(())
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn a_byte_order_mark_precedes_no_part_of_an_event() {
        let now = DateTime::UNIX_EPOCH;
        let payload = "\u{feff}{\"data\":{\"to\":[\"ada@example.com\"]}}";
        let event = InboundEvent::new("standard", "1".into(), BOUNCED.into(), payload.into(), now);
        let read: ResendEvent = serde_json::from_slice(event.document()).expect("JSON");
        assert_eq!(read.data.to, ["ada@example.com"]);
    }
}
