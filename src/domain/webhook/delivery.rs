//! One event on its way to one endpoint.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::EventKind;
use crate::{
    domain::{numbered, page::Key},
    error::{Error, Result},
    id::{WebhookDeliveryId, WebhookEndpointId},
};

numbered! {
    /// What became of a delivery.
    DeliveryState {
        /// It is sent, perhaps again.
        Pending = 1,
        /// The endpoint took it.
        Delivered = 2,
        /// It is not sent again.
        Failed = 3,
    }
}

/// One event on its way to one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The delivery.
    pub id: WebhookDeliveryId,
    /// The endpoint.
    pub endpoint: WebhookEndpointId,
    /// The event; the same for each endpoint.
    pub event: Uuid,
    /// What happened.
    pub kind: EventKind,
    /// What is sent.
    pub payload: String,
    /// What became of it.
    pub state: DeliveryState,
    /// How often it was sent.
    pub attempts: i32,
    /// How often since it was made or sent again.
    pub tries: i32,
    /// When it is sent next, at the earliest.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// Grows by one with each change.
    pub version: i64,
    /// When it happened.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// One time it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// From 1.
    pub number: i32,
    /// When.
    pub started_at: DateTime<Utc>,
    /// How long it took.
    pub duration: Duration,
    /// The HTTP status, if an answer came.
    pub status: Option<u16>,
    /// Why it did not count; `None`: it did.
    pub failure: Option<String>,
}

/// Tries of one delivery: over some nine hours, were every wait as long as it can be.
const TRIES: i32 = 9;

impl Delivery {
    /// After one more attempt: delivered, to be sent again at `next`, or failed when there is none.
    #[must_use]
    pub fn attempted(self, taken: bool, next: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Self {
        let (state, next_attempt_at) = match (taken, next) {
            (true, _) => (DeliveryState::Delivered, None),
            (false, Some(next)) if self.tries + 1 < TRIES => (DeliveryState::Pending, Some(next)),
            (false, _) => (DeliveryState::Failed, None),
        };
        let (attempts, tries) = (self.attempts + 1, self.tries + 1);
        Self { state, next_attempt_at, attempts, tries, version: self.version + 1, updated_at: now, ..self }
    }

    /// Not to be sent again.
    #[must_use]
    pub fn given_up(self, now: DateTime<Utc>) -> Self {
        let state = DeliveryState::Failed;
        Self { state, next_attempt_at: None, version: self.version + 1, updated_at: now, ..self }
    }

    /// To be sent again, from the start.
    ///
    /// # Errors
    /// `BUSINESS_RULE_VIOLATION` while it is on its way.
    pub fn resent(self, now: DateTime<Utc>) -> Result<Self> {
        if self.state == DeliveryState::Pending {
            return Err(Error::rule("The delivery is on its way already."));
        }
        let state = DeliveryState::Pending;
        Ok(Self { state, tries: 0, next_attempt_at: Some(now), version: self.version + 1, updated_at: now, ..self })
    }

    /// Where the delivery stands in a list by creation.
    pub fn key(&self) -> Key {
        Key { rank: None, time: self.created_at, id: self.id.0 }
    }
}

/// The longest wait before the next try, after so many: it triples each time. The wait itself is a random part of it
/// ("full jitter"), so that what failed together does not come back together.
pub fn longest_wait(tries: i32, first: Duration) -> Duration {
    first.saturating_mul(3_u32.saturating_pow(u32::try_from(tries.clamp(0, TRIES)).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_go_over_hours_and_end() {
        let waits: Duration = (0..TRIES - 1).map(|tries| longest_wait(tries, Duration::from_secs(10))).sum();
        assert!((8..=10).contains(&(waits.as_secs() / 3600)), "{waits:?}");
    }
}
