//! Effects outside: something a gateway is asked to do, whose outcome may not be known for a while.
//!
//! An effect is pending until the gateway's word is known. Unknown is not failed: it is asked for again under the same
//! key, so that the gateway does it once. Only where the gateway is known to have done nothing, and to answer nothing else
//! under that key, does another attempt begin, under another key.

use chrono::{DateTime, TimeDelta, Utc};

use super::numbered;
use crate::error::{Error, Reason};

numbered! {
    /// Where an effect stands.
    Status {
        /// What came of it is not known.
        Pending = 1,
        /// It was done.
        Succeeded = 2,
        /// It was not done, and will not be.
        Failed = 3,
    }
}

numbered! {
    /// Why an effect failed.
    FailureKind {
        /// The card's bank said no.
        Declined = 1,
        /// The gateway said no.
        Rejected = 2,
        /// The gateway never had an answer, and looked up it had done nothing.
        Abandoned = 3,
    }
}

/// Why an effect failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Who said no.
    pub kind: FailureKind,
    /// The gateway's word for programs.
    pub code: String,
    /// A sentence for people.
    pub message: String,
}

/// What a bank says of a card that it takes for stolen; whoever tries it is not to hear that
/// (<https://docs.stripe.com/declines/codes>).
const SUSPICIONS: [&str; 6] =
    ["fraudulent", "lost_card", "merchant_blacklist", "pickup_card", "restricted_card", "stolen_card"];

impl Failure {
    /// The code for staff, or for whoever tried: to them a suspicion is a decline like any other.
    pub fn code_for(&self, is_staff: bool) -> &str {
        if !is_staff && SUSPICIONS.contains(&self.code.as_str()) { "generic_decline" } else { &self.code }
    }

    /// What its caller is told.
    pub fn error(&self) -> Error {
        let reason = match self.kind {
            FailureKind::Declined => Reason::CardDeclined,
            FailureKind::Rejected | FailureKind::Abandoned => Reason::PaymentFailed,
        };
        Error::with_message(reason, self.message.clone())
    }
}

/// Where an effect stands, with what belongs to it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// What came of it is not known.
    Pending,
    /// It was done.
    Succeeded {
        /// What the gateway knows it by.
        gateway_id: String,
    },
    /// It was not done, and will not be.
    Failed(Failure),
}

impl State {
    /// The status without what belongs to it.
    pub fn status(&self) -> Status {
        match self {
            Self::Pending => Status::Pending,
            Self::Succeeded { .. } => Status::Succeeded,
            Self::Failed(_) => Status::Failed,
        }
    }

    /// What the gateway knows it by.
    pub fn gateway_id(&self) -> Option<&str> {
        match self {
            Self::Succeeded { gateway_id } => Some(gateway_id),
            _ => None,
        }
    }

    /// Why it failed.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            _ => None,
        }
    }
}

/// Who works on an effect, and how often it was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drive {
    /// The attempt, from 1; the gateway's key is made of it.
    pub attempt: i32,
    /// When the attempt may first have been sent.
    pub since: DateTime<Utc>,
    /// Somebody works on it until then at most.
    pub until: Option<DateTime<Utc>>,
    /// How often somebody began to.
    pub count: i32,
    /// When the attempt's key was given up; from then on the gateway is not asked under it, but looked at.
    pub spent_at: Option<DateTime<Utc>>,
}

impl Drive {
    /// The first drive, whose driver has until `until`.
    pub fn begin(now: DateTime<Utc>, until: DateTime<Utc>) -> Self {
        Self { attempt: 1, since: now, until: Some(until), count: 1, spent_at: None }
    }

    /// The next drive; `None` while somebody else is at it.
    pub fn take_over(self, now: DateTime<Utc>, until: DateTime<Utc>) -> Option<Self> {
        let busy = self.until.is_some_and(|until| until > now);
        (!busy).then(|| Self { until: Some(until), count: self.count.saturating_add(1), ..self })
    }

    /// Nobody works on it.
    #[must_use]
    pub fn at_rest(self) -> Self {
        Self { until: None, ..self }
    }

    /// Nobody works on it, and its key is given up; the first time counts.
    #[must_use]
    pub fn spent(self, now: DateTime<Utc>) -> Self {
        Self { spent_at: self.spent_at.or(Some(now)), ..self.at_rest() }
    }

    /// Another attempt, which the gateway can't take for the one before.
    #[must_use]
    pub fn next_attempt(self, now: DateTime<Utc>) -> Self {
        Self { attempt: self.attempt + 1, since: now, spent_at: None, ..self }
    }

    /// How long to leave it alone after so many drives: `first`, doubled each time, up to 64 times as long.
    pub fn rest(self, first: TimeDelta) -> TimeDelta {
        first * (1 << (self.count - 1).clamp(0, 6))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_drives_at_a_time() {
        let now = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        let later = |seconds| now + TimeDelta::seconds(seconds);
        let drive = Drive::begin(now, later(10));
        assert_eq!(drive.take_over(later(9), later(19)), None);
        let next = drive.take_over(later(10), later(20)).expect("the first one's time is over");
        assert_eq!((next.count, next.attempt, next.since, next.until), (2, 1, now, Some(later(20))));
        assert!(next.at_rest().take_over(later(11), later(21)).is_some());
        assert_eq!(next.next_attempt(later(12)).attempt, 2);
        let spent = next.spent(later(13));
        assert_eq!((spent.until, spent.spent_at, spent.spent(later(14))), (None, Some(later(13)), spent));
        assert_eq!(spent.next_attempt(later(15)).spent_at, None);
    }

    #[test]
    fn only_staff_hears_what_a_bank_suspects() {
        let failure =
            |code: &str| Failure { kind: FailureKind::Declined, code: code.to_owned(), message: String::new() };
        for code in SUSPICIONS {
            assert_eq!((failure(code).code_for(true), failure(code).code_for(false)), (code, "generic_decline"));
        }
        assert_eq!(failure("insufficient_funds").code_for(false), "insufficient_funds");
    }

    #[test]
    fn rests_grow_to_a_bound() {
        let now = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        let rest = |count| Drive { count, ..Drive::begin(now, now) }.rest(TimeDelta::seconds(5)).num_seconds();
        assert_eq!([rest(1), rest(2), rest(3), rest(7), rest(8), rest(i32::MAX)], [5, 10, 20, 320, 320, 320]);
    }
}
