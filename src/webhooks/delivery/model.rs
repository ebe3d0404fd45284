//! Deliveries of events to endpoints.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::proto::webhooks::v1::Reason as WebhooksReason;
use crate::webhooks::id::{WebhookDeliveryId, WebhookEndpointId};
use mainstay_kernel::{error::Result, numbered::numbered, page::Key};

numbered! {
    /// The state of a delivery.
    DeliveryState {
        /// The delivery is being sent or will be retried.
        Pending = 1,
        /// The endpoint accepted the delivery.
        Delivered = 2,
        /// The delivery failed. It is sent again only on request.
        Failed = 3,
    }
}

/// The delivery of an event to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub id: WebhookDeliveryId,
    pub endpoint: WebhookEndpointId,
    /// The event's id; the same for every endpoint.
    pub event: Uuid,
    /// The event's type, by its qualified name.
    pub kind: String,
    /// The payload, byte for byte.
    pub payload: String,
    pub state: DeliveryState,
    /// The number of attempts made.
    pub attempts: i32,
    /// The number of attempts since the delivery was created or resent.
    pub attempts_since_resend: i32,
    /// The earliest time of the next attempt.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// The version, which each change increments by one.
    pub version: i64,
    /// When the event happened.
    pub created_at: DateTime<Utc>,
    /// When it was last updated.
    pub updated_at: DateTime<Utc>,
}

/// An attempt to send a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The number of the attempt, from 1.
    pub number: i32,
    /// When the attempt started.
    pub started_at: DateTime<Utc>,
    pub duration: Duration,
    /// The HTTP status of the response, if there was one.
    pub status: Option<u16>,
    /// The reason of the failure; `None` for a successful attempt.
    pub failure: Option<String>,
}

/// The maximum number of attempts: over 28 to 57 hours with the default first wait. Standard Webhooks recommends days.
const MAX_ATTEMPTS: i32 = 13;

/// The longest wait before a retry, unless the first wait is longer.
const MAX_WAIT: Duration = Duration::from_secs(12 * 3600);

impl Delivery {
    /// Returns the delivery after an attempt: delivered, pending until `next`, or failed if there is no next attempt.
    #[must_use]
    pub fn record_attempt(self, is_accepted: bool, next: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Self {
        let (state, next_attempt_at) = match (is_accepted, next) {
            (true, _) => (DeliveryState::Delivered, None),
            (false, Some(next)) if self.attempts_since_resend + 1 < MAX_ATTEMPTS => {
                (DeliveryState::Pending, Some(next))
            }
            (false, _) => (DeliveryState::Failed, None),
        };
        let (attempts, attempts_since_resend) = (self.attempts + 1, self.attempts_since_resend + 1);
        Self {
            state,
            next_attempt_at,
            attempts,
            attempts_since_resend,
            version: self.version + 1,
            updated_at: now,
            ..self
        }
    }

    /// Returns the delivery as failed, without another attempt.
    #[must_use]
    pub fn abandon(self, now: DateTime<Utc>) -> Self {
        let state = DeliveryState::Failed;
        Self { state, next_attempt_at: None, version: self.version + 1, updated_at: now, ..self }
    }

    /// Returns the delivery as pending, with a full set of attempts.
    ///
    /// # Errors
    /// `DELIVERY_PENDING` while it is still pending.
    pub fn resend(self, now: DateTime<Utc>) -> Result<Self> {
        if self.state == DeliveryState::Pending {
            return Err(WebhooksReason::DeliveryPending.into());
        }
        let state = DeliveryState::Pending;
        Ok(Self {
            state,
            attempts_since_resend: 0,
            next_attempt_at: Some(now),
            version: self.version + 1,
            updated_at: now,
            ..self
        })
    }

    /// Returns the position in a list by creation time.
    pub fn key(&self) -> Key {
        Key { rank: None, time: self.created_at, id: self.id.0 }
    }
}

/// Returns the delay before a retry: at most `first` after one failed attempt, tripled with each further one up to 12 hours.
/// Half of it is fixed, so that a receiver that is down for a day loses nothing; the other half is multiplied by `random`,
/// from 0 to 1, so that deliveries that failed together are not retried together.
pub fn retry_delay(failed_attempts: i32, first: Duration, random: f64) -> Duration {
    let further = u32::try_from(failed_attempts.clamp(1, MAX_ATTEMPTS) - 1).unwrap_or(0);
    let longest = first.saturating_mul(3_u32.saturating_pow(further)).min(MAX_WAIT.max(first));
    longest.mul_f64(0.5 + random / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_span_a_day_at_least_and_end() {
        let delays = |random| (1..MAX_ATTEMPTS).map(move |failed| retry_delay(failed, Duration::from_secs(10), random));
        let longest: Vec<_> = delays(1.0).map(|delay| delay.as_secs()).collect();
        assert_eq!(longest, [10, 30, 90, 270, 810, 2430, 7290, 21870, 43200, 43200, 43200, 43200]);
        let hours = |random| delays(random).sum::<Duration>().as_secs() / 3600;
        assert_eq!((hours(0.0), hours(1.0)), (28, 57));
        let day = Duration::from_secs(86_400);
        assert_eq!(retry_delay(2, day, 1.0), day, "the wait that is configured");
    }
}
