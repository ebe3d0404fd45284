//! Events received from webhook providers.

use std::borrow::Cow;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::proto::webhooks::v1::Reason as WebhooksReason;
use crate::webhooks::id::InboundEventId;
use mainstay_kernel::{error::Result, numbered::numbered};

numbered! {
    /// The providers with a number in the API and the table, from before providers had names there.
    Provider {
        Stripe = 1 => "stripe",
        /// Any provider that signs according to the Standard Webhooks specification.
        Standard = 2 => "standard",
        Github = 3 => "github",
        Sendgrid = 4 => "sendgrid",
        /// A provider of the operator's choice.
        Generic = 5 => "generic",
    }
}

numbered! {
    /// The state of an event.
    State {
        /// The event waits to be processed or retried.
        Pending = 1 => "pending",
        /// The event was processed.
        Processed = 2 => "processed",
        /// The event is of a type that has no handler.
        Ignored = 3 => "ignored",
        /// Processing failed; the event is processed again only on request.
        Dead = 4 => "dead",
    }
}

/// An event received from a webhook provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundEvent {
    pub id: InboundEventId,
    /// The name of the provider that sent the event.
    pub provider: Cow<'static, str>,
    /// The provider's id for the event.
    pub provider_event_id: String,
    /// The type of the event, as the provider names it.
    pub kind: String,
    /// The payload, byte for byte; empty in lists.
    pub payload: Bytes,
    pub state: State,
    /// The number of processing attempts.
    pub attempts: i32,
    /// Why the last attempt failed.
    pub failure: Option<String>,
    /// The version, which each change increments by one.
    pub version: i64,
    /// When the event was received.
    pub received_at: DateTime<Utc>,
    /// When it was last updated.
    pub updated_at: DateTime<Utc>,
    /// When processing ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// Returns a JSON text without the byte order mark that some senders put before it (RFC 8259, 8.1).
pub(crate) fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body)
}

impl InboundEvent {
    /// Returns the JSON of the payload.
    pub fn document(&self) -> &[u8] {
        without_mark(&self.payload)
    }

    /// Creates an event that was just received.
    pub fn new(
        provider: &'static str,
        provider_event_id: String,
        kind: String,
        payload: Bytes,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            id: InboundEventId::generate(now),
            provider: provider.into(),
            provider_event_id,
            kind,
            payload,
            state: State::Pending,
            attempts: 0,
            failure: None,
            version: 1,
            received_at: now,
            updated_at: now,
            finished_at: None,
        }
    }

    /// Ends processing: the event was processed or ignored by one more attempt, or is dead.
    #[must_use]
    pub fn end(self, state: State, now: DateTime<Utc>) -> Self {
        let attempts = self.attempts + i32::from(state != State::Dead);
        let unknown = || "Its worker ended in the middle of it.".to_owned();
        let failure = (state == State::Dead).then(|| self.failure.unwrap_or_else(unknown));
        Self { state, attempts, failure, finished_at: Some(now), version: self.version + 1, updated_at: now, ..self }
    }

    /// Records a failed attempt.
    #[must_use]
    pub fn record_failure(self, failure: String, now: DateTime<Utc>) -> Self {
        let attempts = self.attempts + 1;
        Self { attempts, failure: Some(failure), version: self.version + 1, updated_at: now, ..self }
    }

    /// Records a failed attempt that a retry can't fix; the event is dead.
    #[must_use]
    pub fn record_permanent_failure(self, failure: String, now: DateTime<Utc>) -> Self {
        let failed = Self { attempts: self.attempts + 1, failure: Some(failure), ..self };
        failed.end(State::Dead, now)
    }

    /// Makes the event pending again, with no attempts.
    ///
    /// # Errors
    /// `EVENT_PENDING`, `EVENT_PROCESSED`.
    pub fn redrive(self, now: DateTime<Utc>) -> Result<Self> {
        match self.state {
            State::Pending => return Err(WebhooksReason::EventPending.into()),
            State::Processed => return Err(WebhooksReason::EventProcessed.into()),
            State::Ignored | State::Dead => {}
        }
        let state = State::Pending;
        Ok(Self { state, attempts: 0, finished_at: None, version: self.version + 1, updated_at: now, ..self })
    }
}

/// A filter of events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only events of the provider of this name.
    pub provider: Option<String>,
    /// Only events in this state.
    pub state: Option<State>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> InboundEvent {
        let now = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        InboundEvent::new("stripe", "evt_1".to_owned(), "ping".to_owned(), Bytes::new(), now)
    }

    #[test]
    fn only_unprocessed_events_are_redriven() {
        let now = event().received_at;
        assert!(event().redrive(now).is_err());
        assert!(event().end(State::Processed, now).redrive(now).is_err());
        assert!(event().end(State::Ignored, now).redrive(now).is_ok());
        let again = event().record_failure("away".to_owned(), now).end(State::Dead, now);
        assert_eq!((again.attempts, again.failure.as_deref()), (1, Some("away")));
        let again = again.redrive(now).expect("it is dead");
        assert_eq!((again.state, again.attempts, again.finished_at, again.version), (State::Pending, 0, None, 4));
    }

    #[test]
    fn provider_names_round_trip() {
        for provider in Provider::ALL {
            assert_eq!(Provider::from_name(provider.name()), Some(provider));
        }
        assert_eq!(Provider::from_name("Stripe"), None);
    }
}
