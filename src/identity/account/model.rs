//! Accounts: organizations, to which data belongs.

use chrono::{DateTime, Utc};

use mainstay_kernel::{id::AccountId, page::Key};

/// An organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: AccountId,
    pub name: String,
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
        Self { id: AccountId::generate(now), name, version: 1, created_at: now, updated_at: now, deletion_at: None }
    }

    /// Returns the account with another name; the same version if the name is the same.
    #[must_use]
    pub fn renamed(self, name: String, now: DateTime<Utc>) -> Self {
        if name == self.name {
            return self;
        }
        Self { name, version: self.version + 1, updated_at: now, ..self }
    }

    /// Returns the account with another time of its deletion, or without one.
    #[must_use]
    pub fn with_deletion(self, deletion_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Self {
        Self { deletion_at, version: self.version + 1, updated_at: now, ..self }
    }

    /// Returns the position in a list by creation time.
    pub fn key(&self) -> Key {
        Key { rank: None, time: self.created_at, id: self.id.0 }
    }
}
