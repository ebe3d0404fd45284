//! What providers tell us, and what becomes of it.

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::{numbered, page::Key};
use crate::{
    error::{Error, Result},
    id::InboundEventId,
};

numbered! {
    /// Who sends webhooks.
    Provider {
        /// Stripe.
        Stripe = 1,
        /// Anyone who signs by the Standard Webhooks specification.
        Standard = 2,
        /// GitHub.
        Github = 3,
    }
}

impl Provider {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Stripe, Self::Standard, Self::Github];

    /// The name in the path.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::Standard => "standard",
            Self::Github => "github",
        }
    }

    /// The provider of a name in the path.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.name() == name)
    }
}

numbered! {
    /// What became of an event.
    State {
        /// It waits to be worked on, perhaps again.
        Pending = 1,
        /// It was worked on.
        Processed = 2,
        /// Nothing waits for its kind.
        Ignored = 3,
        /// Every attempt failed.
        Dead = 4,
    }
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundEvent {
    /// The event.
    pub id: InboundEventId,
    /// Who told it.
    pub provider: Provider,
    /// The provider's own id of it.
    pub provider_event_id: String,
    /// What happened, in the provider's words.
    pub kind: String,
    /// The body, byte for byte; empty in lists.
    pub payload: Bytes,
    /// What became of it.
    pub state: State,
    /// How often it was worked on.
    pub attempts: i32,
    /// Why the last attempt failed.
    pub failure: Option<String>,
    /// Grows by one with each change.
    pub version: i64,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// When it was done with.
    pub finished_at: Option<DateTime<Utc>>,
}

impl InboundEvent {
    /// One that has just come.
    pub fn new(
        provider: Provider,
        provider_event_id: String,
        kind: String,
        payload: Bytes,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            id: InboundEventId::generate(now),
            provider,
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

    /// Done with: processed or ignored by one more attempt, or given up.
    #[must_use]
    pub fn ended(self, state: State, now: DateTime<Utc>) -> Self {
        let attempts = self.attempts + i32::from(state != State::Dead);
        let unknown = || "Its worker ended in the middle of it.".to_owned();
        let failure = (state == State::Dead).then(|| self.failure.unwrap_or_else(unknown));
        Self { state, attempts, failure, finished_at: Some(now), version: self.version + 1, updated_at: now, ..self }
    }

    /// One attempt more failed.
    #[must_use]
    pub fn failed(self, failure: String, now: DateTime<Utc>) -> Self {
        let attempts = self.attempts + 1;
        Self { attempts, failure: Some(failure), version: self.version + 1, updated_at: now, ..self }
    }

    /// One attempt failed, and no other would do better.
    #[must_use]
    pub fn refused(self, failure: String, now: DateTime<Utc>) -> Self {
        let failed = Self { attempts: self.attempts + 1, failure: Some(failure), ..self };
        failed.ended(State::Dead, now)
    }

    /// To be worked on again, from the start.
    ///
    /// # Errors
    /// `BUSINESS_RULE_VIOLATION` unless it is dead or was ignored.
    pub fn redriven(self, now: DateTime<Utc>) -> Result<Self> {
        match self.state {
            State::Pending => return Err(Error::rule("The event is waiting to be worked on already.")),
            State::Processed => return Err(Error::rule("The event was processed; that is done once only.")),
            State::Ignored | State::Dead => {}
        }
        let state = State::Pending;
        Ok(Self { state, attempts: 0, finished_at: None, version: self.version + 1, updated_at: now, ..self })
    }

    /// Where the event stands in a list by the time it came.
    pub fn key(&self) -> Key {
        Key { rank: None, time: self.received_at, id: self.id.0 }
    }
}

/// Which events are meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this provider's.
    pub provider: Option<Provider>,
    /// Only those in this state.
    pub state: Option<State>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> InboundEvent {
        let now = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        InboundEvent::new(Provider::Stripe, "evt_1".to_owned(), "ping".to_owned(), Bytes::new(), now)
    }

    #[test]
    fn only_what_was_not_processed_is_driven_again() {
        let now = event().received_at;
        assert!(event().redriven(now).is_err());
        assert!(event().ended(State::Processed, now).redriven(now).is_err());
        assert!(event().ended(State::Ignored, now).redriven(now).is_ok());
        let again = event().failed("away".to_owned(), now).ended(State::Dead, now);
        assert_eq!((again.attempts, again.failure.as_deref()), (1, Some("away")));
        let again = again.redriven(now).expect("it is dead");
        assert_eq!((again.state, again.attempts, again.finished_at, again.version), (State::Pending, 0, None, 4));
    }

    #[test]
    fn a_name_leads_back_to_its_provider() {
        for provider in Provider::ALL {
            assert_eq!(Provider::named(provider.name()), Some(provider));
        }
        assert_eq!(Provider::named("Stripe"), None);
    }
}
