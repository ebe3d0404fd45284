//! Accounts: organizations, to which data belongs.

use chrono::{DateTime, Utc};

use crate::{
    identity::role::limits::{LimitsPatch, SessionLimits},
    proto::identity::v1::Reason as IdentityReason,
};
use mainstay_kernel::{error::Result, id::AccountId};

/// An organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: AccountId,
    pub name: String,
    /// Whether the members need a second factor.
    pub requires_second_factor: bool,
    /// How long sessions of the members last in the account.
    pub limits: SessionLimits,
    /// The version, which each change increments by one.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// When the data is erased, or was; `None` unless a deletion is scheduled or done.
    pub deletion_at: Option<DateTime<Utc>>,
}

impl Account {
    /// Creates an account.
    pub fn new(name: String, now: DateTime<Utc>) -> Self {
        Self {
            id: AccountId::generate(now),
            name,
            requires_second_factor: false,
            limits: SessionLimits::default(),
            version: 1,
            created_at: now,
            updated_at: now,
            deletion_at: None,
        }
    }

    /// Returns the account with the new values; the same version if no value differs.
    #[must_use]
    pub fn apply(self, patch: Patch, now: DateTime<Utc>) -> Self {
        let name = patch.name.unwrap_or_else(|| self.name.clone());
        let requires_second_factor = patch.requires_second_factor.unwrap_or(self.requires_second_factor);
        let limits = self.limits.apply(patch.limits);
        let next = Self { name, requires_second_factor, limits, ..self.clone() };
        if next == self { self } else { Self { version: self.version + 1, updated_at: now, ..next } }
    }

    /// Returns whether the requirements on the sign-ins and sessions of members differ from those of an earlier version.
    pub fn changes_policy(&self, earlier: &Self) -> bool {
        (self.requires_second_factor, self.limits) != (earlier.requires_second_factor, earlier.limits)
    }

    /// Returns the account with another time of its deletion, or without one.
    #[must_use]
    pub fn with_deletion(self, deletion_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Self {
        Self { deletion_at, version: self.version + 1, updated_at: now, ..self }
    }

    /// Checks that the erasure has not begun.
    ///
    /// # Errors
    /// `DELETION_BEGUN`.
    pub fn check_open(&self, now: DateTime<Utc>) -> Result<()> {
        let is_erased = self.deletion_at.is_some_and(|at| at <= now);
        if is_erased { Err(IdentityReason::DeletionBegun.into()) } else { Ok(()) }
    }
}

/// New values for some of an account's fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    pub name: Option<String>,
    pub requires_second_factor: Option<bool>,
    pub limits: LimitsPatch,
}
