//! Requests to a gateway, whose outcome may be unknown for a while.
//!
//! A gateway request is pending until the gateway's answer is known. An unknown outcome is not a failure: the request
//! is repeated under the same key, so that the gateway carries it out only once. Another attempt begins, under another
//! key, only if the gateway is known to have done nothing and to return the same failure under the old key.

use crate::proto::payments::v1::Reason as PaymentsReason;
use chrono::{DateTime, TimeDelta, Utc};

use mainstay_kernel::{error::Error, numbered::numbered};

numbered! {
    /// The status of a gateway request.
    Status {
        /// The outcome is not known yet.
        Pending = 1,
        /// The gateway carried out the request.
        Succeeded = 2,
        /// The request was not carried out, and will not be.
        Failed = 3,
    }
}

numbered! {
    /// Why a gateway request failed.
    FailureKind {
        /// The card's bank declined.
        Declined = 1,
        /// The gateway rejected the request, or the refund failed there.
        Rejected = 2,
        /// The gateway never answered, and a look-up showed that it had done nothing.
        Abandoned = 3,
    }
}

/// Why a gateway request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The party that refused.
    pub kind: FailureKind,
    /// The gateway's machine-readable code.
    pub code: String,
    /// A human-readable message, one sentence.
    pub message: String,
}

/// Decline codes for cards that the bank considers lost, stolen or misused. These reasons must not be revealed to the
/// person who tried to pay (<https://docs.stripe.com/declines/codes>).
const SUSPICIONS: [&str; 6] =
    ["fraudulent", "lost_card", "merchant_blacklist", "pickup_card", "restricted_card", "stolen_card"];

impl Failure {
    /// Returns the code as shown to the caller: staff see the bank's code, other callers a generic one for
    /// `SUSPICIONS`.
    pub fn code_for(&self, is_staff: bool) -> &str {
        if !is_staff && SUSPICIONS.contains(&self.code.as_str()) { "generic_decline" } else { &self.code }
    }

    /// Returns the error that the caller receives. For a declined card, the error carries the code of
    /// [`code_for`](Self::code_for).
    pub fn error(&self, is_staff: bool) -> Error {
        let reason = match self.kind {
            FailureKind::Declined => PaymentsReason::CardDeclined,
            FailureKind::Rejected | FailureKind::Abandoned => PaymentsReason::PaymentFailed,
        };
        Error::with_message(reason, self.message.clone()).with("declineCode", self.code_for(is_staff))
    }
}

/// The state of a gateway request, with its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The outcome is not known yet.
    Pending,
    /// The gateway carried out the request.
    Succeeded { gateway_id: String },
    /// The request was not carried out, and will not be.
    Failed(Failure),
}

impl State {
    /// Returns the status without its data.
    pub fn status(&self) -> Status {
        match self {
            Self::Pending => Status::Pending,
            Self::Succeeded { .. } => Status::Succeeded,
            Self::Failed(_) => Status::Failed,
        }
    }

    /// Returns the gateway's id.
    pub fn gateway_id(&self) -> Option<&str> {
        match self {
            Self::Succeeded { gateway_id } => Some(gateway_id),
            _ => None,
        }
    }

    /// Returns the reason of the failure, if the request failed.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            _ => None,
        }
    }
}

/// The lease on a gateway request, and its attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptLease {
    /// The number of the attempt, from 1, which is part of the gateway's key.
    pub attempt: i32,
    /// The earliest time at which the attempt may have been sent.
    pub since: DateTime<Utc>,
    /// The end of the current lease.
    pub until: Option<DateTime<Utc>>,
    /// When a worker processes the gateway request next; `None` once it is settled.
    pub due: Option<DateTime<Utc>>,
    /// The number of leases since the last one that was released: those before the current one ended because their
    /// workers failed or died.
    pub count: i32,
    /// When the attempt's key was abandoned. Since then, no request is sent under the key, and the gateway request is
    /// looked up instead.
    pub key_abandoned_at: Option<DateTime<Utc>>,
}

impl AttemptLease {
    /// Returns the first lease, which ends at `until`.
    pub fn first(now: DateTime<Utc>, until: DateTime<Utc>) -> Self {
        Self { attempt: 1, since: now, until: Some(until), due: Some(until), count: 1, key_abandoned_at: None }
    }

    /// Returns the next lease, or `None` while the current one lasts.
    pub fn renew(self, now: DateTime<Utc>, until: DateTime<Utc>) -> Option<Self> {
        let busy = self.until.is_some_and(|until| until > now);
        let (until, count) = (Some(until), self.count.saturating_add(1));
        (!busy).then_some(Self { until, due: until, count, ..self })
    }

    /// Returns whether the lease was neither acquired nor changed since. The due time is not compared.
    pub fn is_unchanged(self, since: Self) -> bool {
        Self { due: None, ..self } == Self { due: None, ..since }
    }

    /// Returns whether an earlier worker may have sent the attempt: the attempt began before this lease, which lasts
    /// `length`.
    pub fn is_of_later_worker(self, length: TimeDelta) -> bool {
        self.until.is_none_or(|until| self.since < until - length)
    }

    /// Returns the lease with another due time.
    #[must_use]
    pub fn due_at(self, at: DateTime<Utc>) -> Self {
        Self { due: Some(at), ..self }
    }

    /// Returns the lease of a settled gateway request: released, and never due.
    #[must_use]
    pub fn settle(self) -> Self {
        Self { due: None, ..self.release() }
    }

    /// Returns the attempt without a lease.
    #[must_use]
    pub fn release(self) -> Self {
        Self { until: None, count: 0, ..self }
    }

    /// Returns the attempt without a lease and with its key abandoned; if the key was abandoned before, that time is
    /// kept.
    #[must_use]
    pub fn abandon_key(self, now: DateTime<Utc>) -> Self {
        Self { key_abandoned_at: self.key_abandoned_at.or(Some(now)), ..self.release() }
    }

    /// Returns the lease with another attempt, whose key differs from the one before.
    #[must_use]
    pub fn next_attempt(self, now: DateTime<Utc>) -> Self {
        Self { attempt: self.attempt + 1, since: now, key_abandoned_at: None, ..self }
    }

    /// Returns how long to wait for the next try: as long as the attempt has lasted, so that each wait doubles its age,
    /// at least `first`, and at most 64 times as long.
    pub fn backoff(self, now: DateTime<Utc>, first: TimeDelta) -> TimeDelta {
        (now - self.since).clamp(first, first * 64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_lease_at_a_time() {
        let now = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        let later = |seconds| now + TimeDelta::seconds(seconds);
        let lease = AttemptLease::first(now, later(10));
        assert_eq!(lease.renew(later(9), later(19)), None);
        let next = lease.renew(later(10), later(20)).expect("the first one's time is over");
        assert_eq!((next.count, next.attempt, next.since, next.until), (2, 1, now, Some(later(20))));
        let again = next.release().renew(later(11), later(21)).expect("it was released");
        assert_eq!(again.count, 1, "no worker has failed since");
        let attempt = next.next_attempt(later(12));
        assert_eq!(attempt.attempt, 2);
        let length = TimeDelta::seconds(10);
        assert!(!lease.is_of_later_worker(length) && !attempt.is_of_later_worker(length), "sent for the first time");
        assert!(next.is_of_later_worker(length) && next.release().is_of_later_worker(length));
        let abandoned = next.abandon_key(later(13));
        assert_eq!(
            (abandoned.until, abandoned.key_abandoned_at, abandoned.abandon_key(later(14))),
            (None, Some(later(13)), abandoned)
        );
        assert_eq!(abandoned.next_attempt(later(15)).key_abandoned_at, None);
    }

    #[test]
    fn only_staff_sees_suspicion_codes() {
        let failure =
            |code: &str| Failure { kind: FailureKind::Declined, code: code.to_owned(), message: String::new() };
        for code in SUSPICIONS {
            assert_eq!((failure(code).code_for(true), failure(code).code_for(false)), (code, "generic_decline"));
        }
        assert_eq!(failure("insufficient_funds").code_for(false), "insufficient_funds");
    }

    #[test]
    fn waits_grow_to_a_bound() {
        let now = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        let backoff = |age| {
            let now = now + TimeDelta::seconds(age);
            AttemptLease::first(now - TimeDelta::seconds(age), now).backoff(now, TimeDelta::seconds(5)).num_seconds()
        };
        // A negative age is that of an attempt that began by another host's clock.
        assert_eq!(
            [backoff(-9), backoff(0), backoff(5), backoff(10), backoff(320), backoff(86_400)],
            [5, 5, 5, 10, 320, 320]
        );
    }
}
