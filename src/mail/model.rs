//! Mail: one for each event that a recipient is notified of.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::{
    identity::registration::id::RegistrationId, mail::id::MailId, orders::id::OrderId, payments::id::PaymentId,
};
use mainstay_kernel::{id::UserId, numbered::numbered};

/// The subject of a mail. There is one mail per subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A password reset was requested.
    PasswordReset {
        request: Uuid,
        /// The user; no user has this id if the address is unknown.
        user: UserId,
    },
    /// Somebody wants to register an address.
    Registration(RegistrationId),
    /// An order was placed.
    OrderConfirmation(OrderId),
    /// An order was paid.
    PaymentReceipt(PaymentId),
}

impl Subject {
    /// Returns the name, for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::PasswordReset { .. } => "password_reset",
            Self::Registration(_) => "registration",
            Self::OrderConfirmation(_) => "order_confirmation",
            Self::PaymentReceipt(_) => "payment_receipt",
        }
    }

    /// Returns how long the mail is useful to its recipient.
    pub fn worth(self) -> TimeDelta {
        match self {
            // As long as its token is valid.
            Self::PasswordReset { .. } => TimeDelta::hours(1),
            // Likewise; or a later mail would confuse more than it helps.
            Self::Registration(_) | Self::OrderConfirmation(_) | Self::PaymentReceipt(_) => TimeDelta::hours(24),
        }
    }
}

numbered! {
    /// The state of a mail.
    State {
        /// The mail waits to be sent or retried.
        Pending = 1,
        /// A provider accepted the mail.
        Sent = 2,
        /// The mail will not be sent: a provider rejected it, it expired, or it has no recipient.
        Failed = 3,
    }
}

/// A mail to one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The id, from which the `Message-ID` is derived.
    pub id: MailId,
    pub subject: Subject,
    /// The current state.
    pub state: State,
    /// The number of attempts started.
    pub attempts: i32,
    /// Why the last attempt failed; contains no address.
    pub failure: Option<String>,
    /// The end of the lease of the current attempt.
    pub held_until: Option<DateTime<Utc>>,
    /// When the mail expires.
    pub expires_at: DateTime<Utc>,
    /// When the mail was caused.
    pub created_at: DateTime<Utc>,
    /// When the mail was sent or failed.
    pub finished_at: Option<DateTime<Utc>>,
}

impl Mail {
    /// Creates a pending mail.
    pub fn about(subject: Subject, now: DateTime<Utc>) -> Self {
        Self {
            id: MailId::generate(now),
            subject,
            state: State::Pending,
            attempts: 0,
            failure: None,
            held_until: None,
            expires_at: now + subject.worth(),
            created_at: now,
            finished_at: None,
        }
    }

    /// Begins an attempt with a lease until `until`.
    #[must_use]
    pub fn begun(self, until: DateTime<Utc>) -> Self {
        Self { attempts: self.attempts + 1, held_until: Some(until), ..self }
    }

    /// Ends an attempt that will be retried.
    #[must_use]
    pub fn at_rest(self, failure: String) -> Self {
        Self { failure: Some(failure), held_until: None, ..self }
    }

    /// Marks the mail as sent.
    #[must_use]
    pub fn sent(self, now: DateTime<Utc>) -> Self {
        self.finished(State::Sent, None, now)
    }

    /// Marks the mail as failed.
    #[must_use]
    pub fn failed(self, failure: String, now: DateTime<Utc>) -> Self {
        self.finished(State::Failed, Some(failure), now)
    }

    fn finished(self, state: State, failure: Option<String>, now: DateTime<Utc>) -> Self {
        Self { state, failure, held_until: None, finished_at: Some(now), ..self }
    }
}

/// The maximum time between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Returns the longest wait before the next attempt: `first`, tripled after each attempt, up to an hour.
pub fn longest_wait(attempts: i32, first: Duration) -> Duration {
    let factor = 3_u32.saturating_pow(u32::try_from(attempts.saturating_sub(1)).unwrap_or(0));
    first.saturating_mul(factor).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_takes_and_releases_the_lease() {
        let now = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        let mail = Mail::about(Subject::OrderConfirmation(OrderId(Uuid::nil())), now);
        assert_eq!(mail.expires_at, now + TimeDelta::days(1));
        let begun = mail.begun(now);
        assert_eq!((begun.attempts, begun.held_until), (1, Some(now)));
        for over in [begun.clone().sent(now), begun.clone().failed("550".into(), now)] {
            assert_eq!((over.held_until, over.finished_at), (None, Some(now)));
        }
        let rests = begun.at_rest("450".into());
        assert_eq!((rests.state, rests.held_until, rests.failure.as_deref()), (State::Pending, None, Some("450")));
    }

    #[test]
    fn waits_grow_to_an_hour() {
        let waits: Vec<_> = [1, 2, 3, 7, 100].map(|n| longest_wait(n, Duration::from_secs(5)).as_secs()).into();
        assert_eq!(waits, [5, 15, 45, 3600, 3600]);
    }
}
