//! Mail on its way: one about each thing that somebody is told of.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::numbered;
use crate::id::{MailId, OrderId, PaymentId, UserId};

/// What a mail is about. There is one mail about each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A password was forgotten: the way back in.
    PasswordReset {
        /// The request.
        request: Uuid,
        /// Who asked; nobody, if there is no such user.
        user: UserId,
    },
    /// An order was placed.
    OrderConfirmation(OrderId),
    /// An order was paid.
    PaymentReceipt(PaymentId),
}

impl Subject {
    /// The name, for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::PasswordReset { .. } => "password_reset",
            Self::OrderConfirmation(_) => "order_confirmation",
            Self::PaymentReceipt(_) => "payment_receipt",
        }
    }

    /// How long after its cause it is worth something to whom it is for.
    pub fn worth(self) -> TimeDelta {
        match self {
            // As long as the token in it is good.
            Self::PasswordReset { .. } => TimeDelta::hours(1),
            // Later than this it confuses more than it helps.
            Self::OrderConfirmation(_) | Self::PaymentReceipt(_) => TimeDelta::hours(24),
        }
    }
}

numbered! {
    /// Where a mail stands.
    State {
        /// It waits to be sent, for the first time or again.
        Pending = 1,
        /// A provider took it.
        Sent = 2,
        /// It will not be sent: a provider rejected it, its time was over, or there is nobody to send it to.
        Failed = 3,
    }
}

/// A mail to one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The mail; its `Message-ID` is made of it.
    pub id: MailId,
    /// What it is about.
    pub subject: Subject,
    /// Where it stands.
    pub state: State,
    /// How often it was begun to be sent.
    pub attempts: i32,
    /// What the last attempt came to; holds no address.
    pub failure: Option<String>,
    /// Until then whoever began the last attempt may be at it.
    pub held_until: Option<DateTime<Utc>>,
    /// From then on it is worth nothing to whom it is for.
    pub expires_at: DateTime<Utc>,
    /// When it was caused.
    pub created_at: DateTime<Utc>,
    /// When it was sent or failed.
    pub finished_at: Option<DateTime<Utc>>,
}

impl Mail {
    /// A new, pending mail.
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

    /// In the hands of whoever begins an attempt, until `until` at most.
    #[must_use]
    pub fn begun(self, until: DateTime<Utc>) -> Self {
        Self { attempts: self.attempts + 1, held_until: Some(until), ..self }
    }

    /// To be tried again.
    #[must_use]
    pub fn at_rest(self, failure: String) -> Self {
        Self { failure: Some(failure), held_until: None, ..self }
    }

    /// Sent.
    #[must_use]
    pub fn sent(self, now: DateTime<Utc>) -> Self {
        self.finished(State::Sent, None, now)
    }

    /// Not to be sent.
    #[must_use]
    pub fn failed(self, failure: String, now: DateTime<Utc>) -> Self {
        self.finished(State::Failed, Some(failure), now)
    }

    fn finished(self, state: State, failure: Option<String>, now: DateTime<Utc>) -> Self {
        Self { state, failure, held_until: None, finished_at: Some(now), ..self }
    }
}

/// No two tries are further apart.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// The longest wait before the next try, after so many: it triples each time, up to an hour.
pub fn longest_wait(attempts: i32, first: Duration) -> Duration {
    let factor = 3_u32.saturating_pow(u32::try_from(attempts.saturating_sub(1)).unwrap_or(0));
    first.saturating_mul(factor).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_holds_it_and_ends() {
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
