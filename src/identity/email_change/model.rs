//! Changes of e-mail addresses. A change waits until the new address is confirmed; then it can be undone from the address
//! before.

use chrono::{DateTime, TimeDelta, Utc};

use crate::identity::{
    email_change::id::EmailChangeId,
    user::model::{EmailAddress, User},
};
use mainstay_kernel::id::UserId;

/// How long a change waits for its confirmation.
pub const LIFE: TimeDelta = TimeDelta::hours(24);

/// How long a confirmed change can be undone.
pub const UNDO_LIFE: TimeDelta = TimeDelta::days(7);

/// A change of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailChange {
    pub id: EmailChangeId,
    pub user: UserId,
    pub new: EmailAddress,
    /// The user's epoch at the request.
    pub epoch: i32,
    /// The confirmation; `None` while the change waits for it.
    pub confirmation: Option<Confirmation>,
    /// When it can no longer be confirmed or, once confirmed, undone.
    pub expires_at: DateTime<Utc>,
}

/// The confirmation of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    pub at: DateTime<Utc>,
    /// The address before.
    pub old: EmailAddress,
}

impl EmailChange {
    /// Begins a change, whether or not the new address belongs to a user.
    pub fn begin(user: &User, new: EmailAddress, now: DateTime<Utc>) -> Self {
        Self {
            id: EmailChangeId::generate(now),
            user: user.id,
            new,
            epoch: user.epoch.number,
            confirmation: None,
            expires_at: now + LIFE,
        }
    }

    /// Returns whether the change may still be confirmed. It ends with the sessions of its time, so that a change by a
    /// thief of the password does not outlive the next password, and with the user's access.
    pub fn is_open_to(&self, user: &User) -> bool {
        self.confirmation.is_none() && self.epoch == user.epoch.number && user.is_active()
    }

    /// Returns the confirmed change of a user.
    #[must_use]
    pub fn confirm(self, user: &User, now: DateTime<Utc>) -> Self {
        let confirmation = Some(Confirmation { at: now, old: user.email.clone() });
        Self { confirmation, expires_at: now + UNDO_LIFE, ..self }
    }
}
