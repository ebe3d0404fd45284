//! Mail: one for each event that a recipient is notified of.

use std::{borrow::Cow, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::mail::id::MailId;
use mainstay_kernel::{
    error::{Error, Result},
    id::UserId,
    numbered::numbered,
};

numbered! {
    /// The state of a mail.
    State {
        /// The mail waits to be sent or retried.
        Pending = 1,
        /// A provider accepted the mail.
        Sent = 2,
        /// The mail will not be sent: a provider rejected it, it expired, or it has no recipient.
        Failed = 3,
        /// The outcomes of its last attempts could not be stored. A dead job represents the mail; redriving the job
        /// redrives the mail.
        GivenUp = 4,
    }
}

/// What a mail is about. There is one mail per topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// The name of the kind, which may be that of another version of the program, or of a module that was removed.
    pub kind: Cow<'static, str>,
    /// The id of the cause: of a resource, or of an event.
    pub id: Uuid,
    /// The id of what the cause belongs to, such as a user.
    pub parent: Option<Uuid>,
}

impl Topic {
    /// Returns the parent.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` if the mail was sent without one.
    pub fn parent(&self) -> Result<Uuid> {
        self.parent.ok_or_else(|| Error::internal(anyhow::anyhow!("a mail of the kind {} has no parent", self.kind)))
    }

    /// Returns the parent, which is a user.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` if the mail was sent without a parent.
    pub fn user(&self) -> Result<UserId> {
        self.parent().map(UserId)
    }
}

/// A mail to one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The id, from which the `Message-ID` is derived.
    pub id: MailId,
    pub topic: Topic,
    /// Whether it is in the lane of mail that its recipient waits for.
    pub is_urgent: bool,
    pub state: State,
    /// The number of attempts started, without those that were put off.
    pub attempts: i32,
    /// The reason for the last failure; contains no address.
    pub failure: Option<String>,
    /// The end of the lease of the current attempt.
    pub leased_until: Option<DateTime<Utc>>,
    /// The number of leases since the last stored outcome.
    pub leases: i32,
    /// When a worker processes the mail next; `None` if it is finished.
    pub due_at: Option<DateTime<Utc>>,
    /// When the mail was counted against its recipient's limit.
    pub counted_at: Option<DateTime<Utc>>,
    /// When the mail expires.
    pub expires_at: DateTime<Utc>,
    /// When the mail was created.
    pub created_at: DateTime<Utc>,
    /// When the mail was sent or failed.
    pub finished_at: Option<DateTime<Utc>>,
}

impl Mail {
    /// Creates a pending mail, which expires after `lifetime`.
    pub fn about(topic: Topic, is_urgent: bool, lifetime: TimeDelta, now: DateTime<Utc>) -> Self {
        Self {
            id: MailId::generate(now),
            topic,
            is_urgent,
            state: State::Pending,
            attempts: 0,
            failure: None,
            leased_until: None,
            leases: 0,
            due_at: Some(now),
            counted_at: None,
            expires_at: now + lifetime,
            created_at: now,
            finished_at: None,
        }
    }

    /// Returns whether a worker has the lease.
    pub fn is_leased(&self, now: DateTime<Utc>) -> bool {
        self.leased_until.is_some_and(|until| until > now)
    }

    /// Returns whether the maximum number of consecutive attempts without a stored outcome is reached.
    pub fn is_hopeless(&self) -> bool {
        self.leases >= MAX_LEASES
    }

    /// Begins an attempt with a lease until `until`. If its outcome is not stored, the mail is due again when the lease
    /// ends; after several such attempts, it is due later, by the [delays](max_retry_delay) of failed attempts.
    #[must_use]
    pub fn with_attempt(self, until: DateTime<Utc>, first_delay: Duration) -> Self {
        let delay = match self.leases {
            0 => Duration::ZERO,
            leases => max_retry_delay(leases, first_delay),
        };
        let due_at = until + TimeDelta::from_std(delay).unwrap_or_default();
        Self {
            attempts: self.attempts + 1,
            leased_until: Some(until),
            leases: self.leases + 1,
            due_at: Some(due_at),
            ..self
        }
    }

    /// Ends an attempt that will be retried at `next`.
    #[must_use]
    pub fn with_failure(self, failure: String, next: DateTime<Utc>) -> Self {
        Self { failure: Some(failure), leased_until: None, leases: 0, due_at: Some(next), ..self }
    }

    /// Puts the mail off until `next`, without a call to a provider: it does not count as an attempt.
    #[must_use]
    pub fn postpone(self, why: String, next: DateTime<Utc>) -> Self {
        Self { attempts: self.attempts - 1, ..self.with_failure(why, next) }
    }

    /// Marks the mail as sent.
    #[must_use]
    pub fn mark_sent(self, now: DateTime<Utc>) -> Self {
        self.end(State::Sent, None, now)
    }

    /// Marks the mail as failed.
    #[must_use]
    pub fn mark_failed(self, failure: String, now: DateTime<Utc>) -> Self {
        self.end(State::Failed, Some(failure), now)
    }

    /// Marks the mail as rejected: its recipient does not get it, so it does not count against the limit.
    #[must_use]
    pub fn mark_rejected(self, failure: String, now: DateTime<Utc>) -> Self {
        Self { counted_at: None, ..self.mark_failed(failure, now) }
    }

    /// Marks the mail as given up.
    #[must_use]
    pub fn mark_given_up(self, now: DateTime<Utc>) -> Self {
        let failure = self.failure.clone().unwrap_or_else(|| NO_OUTCOME.to_owned());
        self.end(State::GivenUp, Some(failure), now)
    }

    /// Makes the mail pending again, as if newly created, except for its id and date. A mail that was counted against
    /// its recipient's limit is not counted again.
    #[must_use]
    pub fn redrive(self, lifetime: TimeDelta, now: DateTime<Utc>) -> Self {
        Self {
            state: State::Pending,
            attempts: 0,
            failure: None,
            due_at: Some(now),
            expires_at: now + lifetime,
            finished_at: None,
            ..self
        }
    }

    fn end(self, state: State, failure: Option<String>, now: DateTime<Utc>) -> Self {
        Self { state, failure, leased_until: None, leases: 0, due_at: None, finished_at: Some(now), ..self }
    }
}

/// The maximum number of consecutive attempts without a stored outcome, because their workers failed or died, before a
/// mail is given up: about half an hour, with the default delays.
const MAX_LEASES: i32 = 7;
/// The failure of a given-up mail without an answer from a provider.
const NO_OUTCOME: &str = "its workers failed or died too often; the log has the error";
/// The maximum time between two attempts.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(3600);

/// Returns the maximum delay before a retry: `first` after one failed attempt, tripled with each further one, up to an
/// hour. The actual delay is at least half of the maximum (jitter).
pub fn max_retry_delay(failed_attempts: i32, first: Duration) -> Duration {
    let factor = 3_u32.saturating_pow(u32::try_from(failed_attempts.saturating_sub(1)).unwrap_or(0));
    first.saturating_mul(factor).min(MAX_RETRY_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST_DELAY: Duration = Duration::from_secs(5);
    const DAY: TimeDelta = TimeDelta::days(1);

    fn mail(now: DateTime<Utc>) -> Mail {
        Mail::about(Topic { kind: "order_confirmation".into(), id: Uuid::nil(), parent: None }, false, DAY, now)
    }

    #[test]
    fn an_attempt_takes_and_releases_the_lease() {
        let now = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        let mail = mail(now);
        assert_eq!(mail.expires_at, now + DAY);
        let on_lease = mail.with_attempt(now, FIRST_DELAY);
        assert_eq!((on_lease.attempts, on_lease.leased_until, on_lease.due_at), (1, Some(now), Some(now)));
        assert!(on_lease.is_leased(now - TimeDelta::seconds(1)) && !on_lease.is_leased(now));
        let outcomes = [
            on_lease.clone().mark_sent(now),
            on_lease.clone().mark_failed("550".into(), now),
            on_lease.clone().mark_given_up(now),
        ];
        for mail in outcomes {
            assert_eq!((mail.leased_until, mail.finished_at, mail.due_at), (None, Some(now), None));
        }
        let next = now + TimeDelta::seconds(5);
        let put_off = on_lease.clone().postpone("later".into(), next);
        assert_eq!((put_off.attempts, put_off.leased_until, put_off.due_at), (0, None, Some(next)));
        let waits = on_lease.with_failure("450".into(), next);
        assert_eq!((waits.state, waits.leased_until, waits.failure.as_deref()), (State::Pending, None, Some("450")));
        assert_eq!((waits.due_at, waits.leases), (Some(next), 0));
    }

    #[test]
    fn attempts_without_an_outcome_are_due_later_and_later_until_the_mail_is_hopeless() {
        let now = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        let mut mail = mail(now);
        let mut delays = Vec::new();
        while !mail.is_hopeless() {
            mail = mail.with_attempt(now, FIRST_DELAY);
            delays.push((mail.due_at.expect("it is pending") - now).num_seconds());
        }
        assert_eq!(delays, [0, 5, 15, 45, 135, 405, 1215]);
        assert!(!mail.clone().with_failure("450".into(), now).is_hopeless(), "an outcome was stored");
        assert!(!mail.mark_given_up(now).redrive(DAY, now).is_hopeless());
    }

    #[test]
    fn a_mail_that_was_redriven_has_all_its_time() {
        let now = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        let mail = mail(now);
        let (later, id) = (now + TimeDelta::days(3), mail.id);
        let mail = Mail { counted_at: Some(now), ..mail.with_attempt(now, FIRST_DELAY) };
        assert_eq!(mail.clone().mark_rejected("550".into(), now).redrive(DAY, later).counted_at, None);
        let again = mail.mark_given_up(now).redrive(DAY, later);
        assert_eq!((again.state, again.attempts, again.finished_at), (State::Pending, 0, None));
        assert_eq!((again.counted_at, again.due_at), (Some(now), Some(later)));
        assert_eq!((again.id, again.created_at, again.expires_at), (id, now, later + DAY));
    }

    #[test]
    fn retry_delays_grow_to_an_hour() {
        let delays: Vec<_> = [1, 2, 3, 7, 100].map(|n| max_retry_delay(n, Duration::from_secs(5)).as_secs()).into();
        assert_eq!(delays, [5, 15, 45, 3600, 3600]);
    }
}
