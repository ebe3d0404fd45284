//! Deletions and their states: `Scheduled => Erasing => Done`, or `Scheduled => Cancelled`.

use chrono::{DateTime, TimeDelta, Utc};
use mainstay_kernel::{
    error::Result,
    id::{AccountId, UserId},
    numbered::numbered,
};
use uuid::Uuid;

use crate::{
    identity::{
        deletion::id::{DeletionId, DeletionNoticeId},
        user::model::{Language, User},
    },
    proto::identity::v1::Reason as IdentityReason,
};

/// The time between the end of all access and the erasure. An instance accepts a revoked credential for at most three seconds,
/// and a request that it admitted before may still write: the longest one, an upload, has 120 seconds.
pub(crate) const SETTLING: TimeDelta = TimeDelta::seconds(150);

/// The time after which an erasure that may not begin yet is tried again.
pub const POSTPONEMENT: TimeDelta = TimeDelta::days(1);

numbered! {
    /// The state of a deletion.
    State {
        /// The deletion waits for the end of the period of grace.
        Scheduled = 1,
        /// A job is erasing the data.
        Erasing = 2,
        /// The data is erased.
        Done = 3,
        /// The deletion was canceled.
        Cancelled = 4,
    }
}

/// Who or what is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    User(UserId),
    Account(AccountId),
}

impl Subject {
    /// Returns the id.
    pub fn id(self) -> Uuid {
        match self {
            Self::User(user) => user.0,
            Self::Account(account) => account.0,
        }
    }

    /// Returns the user, or `None` for an account.
    pub fn user(self) -> Option<UserId> {
        match self {
            Self::User(user) => Some(user),
            Self::Account(_) => None,
        }
    }

    /// Returns the account, or `None` for a user.
    pub fn account(self) -> Option<AccountId> {
        match self {
            Self::User(_) => None,
            Self::Account(account) => Some(account),
        }
    }
}

/// A deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    pub id: DeletionId,
    pub subject: Subject,
    /// The deletion of the account's only member, with which it was scheduled.
    pub with: Option<DeletionId>,
    pub requested_by: UserId,
    pub state: State,
    pub erase_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
    /// When it was done or canceled.
    pub finished_at: Option<DateTime<Utc>>,
}

impl Deletion {
    /// Schedules a deletion.
    pub fn schedule(subject: Subject, by: UserId, erase_at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        let (id, state) = (DeletionId::generate(now), State::Scheduled);
        Self { id, subject, with: None, requested_by: by, state, erase_at, created_at: now, finished_at: None }
    }

    /// Cancels the deletion; `None` if it was already canceled.
    ///
    /// # Errors
    /// `DELETION_BEGUN`.
    pub fn cancel(self, now: DateTime<Utc>) -> Result<Option<Self>> {
        match self.state {
            State::Scheduled => Ok(Some(Self { state: State::Cancelled, finished_at: Some(now), ..self })),
            State::Cancelled => Ok(None),
            State::Erasing | State::Done => Err(IdentityReason::DeletionBegun.into()),
        }
    }

    /// Begins the erasure of a scheduled deletion.
    #[must_use]
    pub fn begin(self) -> Self {
        Self { state: State::Erasing, ..self }
    }

    /// Postpones the erasure of a scheduled deletion.
    #[must_use]
    pub fn postpone(self, now: DateTime<Utc>) -> Self {
        Self { erase_at: now + POSTPONEMENT, ..self }
    }

    /// Completes the erasure.
    #[must_use]
    pub fn finish(self, now: DateTime<Utc>) -> Self {
        Self { state: State::Done, finished_at: Some(now), ..self }
    }
}

/// A person who is told of a deletion, with the address at the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub id: DeletionNoticeId,
    pub deletion: DeletionId,
    pub user: UserId,
    pub email: String,
    pub language: Language,
}

impl Notice {
    /// Creates the notice for a user.
    pub fn to(user: &User, deletion: DeletionId, now: DateTime<Utc>) -> Self {
        let (id, email) = (DeletionNoticeId::generate(now), user.email.clone().into());
        Self { id, deletion, user: user.id, email, language: user.language.clone() }
    }
}

numbered! {
    /// What an erasure did with rows.
    Action {
        /// The rows were removed.
        Erased = 1,
        /// The personal values of the rows were replaced.
        Anonymized = 2,
        /// The rows were kept.
        Kept = 3,
    }
}

/// What an erasure did with rows of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasedRows {
    pub table: String,
    pub action: Action,
    pub rows: i64,
    /// Why rows are kept; empty for other actions.
    pub reason: String,
}

/// A filter of deletions, in addition to the caller's visibility.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filter {
    pub state: Option<State>,
    pub subject: Option<Subject>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_erasure_waits_for_every_request_that_writes() {
        use mainstay_kernel::contract::policy::Effect;

        let policies = &crate::product().modules().expect("they fit together").contract.policies;
        let writes = policies.iter().filter(|method| method.effect == Effect::Write && !method.watch);
        let longest = writes.map(|method| (method.deadline, &method.name)).max().expect("a method");
        // For three seconds, an instance accepts a credential that was revoked.
        let last = longest.0 + std::time::Duration::from_secs(3);
        assert!(SETTLING.to_std().expect("a period") > last, "{longest:?}");
    }

    #[test]
    fn a_deletion_is_canceled_until_it_begins() {
        let now = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        let (user, by) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let scheduled = Deletion::schedule(Subject::User(user), by, now + TimeDelta::days(14), now);
        let cancelled = scheduled.clone().cancel(now).expect("scheduled").expect("a change");
        assert_eq!((cancelled.state, cancelled.finished_at), (State::Cancelled, Some(now)));
        assert_eq!(cancelled.cancel(now).expect("canceled"), None);
        let begun = scheduled.clone().begin();
        let error = begun.clone().cancel(now).expect_err("begun");
        assert!(error.reason() == IdentityReason::DeletionBegun);
        assert!(begun.finish(now).cancel(now).is_err());
        assert_eq!(scheduled.postpone(now).erase_at, now + POSTPONEMENT);
    }
}
