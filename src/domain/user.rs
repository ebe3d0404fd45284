//! People who sign in, and the accounts they belong to.

use chrono::{DateTime, Utc};

use super::{numbered, page::Key};
use crate::id::{AccountId, UserId};

numbered! {
    /// What a user may do; internal callers have scopes instead.
    Role {
        /// Sees the own account.
        Customer = 1,
        /// Works every account's tickets.
        Agent = 2,
        /// Also manages users and keys.
        Admin = 3,
    }
}

/// A customer organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The account.
    pub id: AccountId,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A person who signs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The user.
    pub id: UserId,
    /// The account the user belongs to.
    pub account: AccountId,
    /// Unique, compared without case.
    pub email: String,
    /// What to call the user.
    pub name: String,
    /// What the user may do.
    pub role: Role,
    /// Sessions and access tokens of an earlier epoch are worth nothing.
    pub session_epoch: i32,
    /// Grows by one with each change a caller can see.
    pub version: i64,
    /// When the user registered.
    pub created_at: DateTime<Utc>,
    /// When the user last changed.
    pub updated_at: DateTime<Utc>,
}

impl User {
    /// A new user of an account.
    pub fn new(account: AccountId, email: String, name: String, role: Role, now: DateTime<Utc>) -> Self {
        let id = UserId::generate(now);
        Self { id, account, email, name, role, session_epoch: 0, version: 1, created_at: now, updated_at: now }
    }

    /// The user under another name.
    #[must_use]
    pub fn renamed(self, name: String, now: DateTime<Utc>) -> Self {
        Self { name, version: self.version + 1, updated_at: now, ..self }
    }

    /// The user in another role, with every session ended.
    #[must_use]
    pub fn in_role(self, role: Role, now: DateTime<Utc>) -> Self {
        Self { role, session_epoch: self.session_epoch + 1, version: self.version + 1, updated_at: now, ..self }
    }

    /// Where the user stands in a list by creation.
    pub fn key(&self) -> Key {
        Key { rank: None, time: self.created_at, id: self.id.0 }
    }
}

/// Which users a list is of, beyond what the caller reaches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this account.
    pub account: Option<AccountId>,
    /// In one of these roles; empty: any. A role that no user has, as that of services, matches nobody.
    pub roles: Vec<i16>,
}

/// What changes of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    /// The name.
    pub name: Option<String>,
}
