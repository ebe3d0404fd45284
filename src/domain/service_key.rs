//! Credentials of internal callers.

use chrono::{DateTime, Utc};

use super::page::Key;
use crate::id::{ServiceKeyId, UserId};

/// What a key shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What it is for.
    pub name: String,
    /// The numbers of the contract's scopes.
    pub scopes: Vec<i16>,
    /// When it ends; `None`: never.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A key, without its secret, which is shown once and kept as a hash only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceKey {
    /// The key.
    pub id: ServiceKeyId,
    /// What it is for.
    pub name: String,
    /// The numbers of the contract's scopes.
    pub scopes: Vec<i16>,
    /// The admin who made it.
    pub created_by: UserId,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends; `None`: never.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl ServiceKey {
    /// Whether it may be used.
    pub fn is_good(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }

    /// Where the key stands in a list by creation.
    pub fn key(&self) -> Key {
        Key { rank: None, time: self.created_at, id: self.id.0 }
    }
}
