//! Service keys, the credentials of internal callers.

use chrono::{DateTime, Utc};

use mainstay_kernel::{
    id::{ServiceKeyId, UserId},
    page::Key,
};

/// A service key to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The purpose of the key.
    pub name: String,
    /// The scopes that the key grants, by their names in the contract.
    pub scopes: Vec<String>,
    /// When the key expires; `None` if never.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A service key, without its secret, which is shown once and stored only as a hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceKey {
    pub id: ServiceKeyId,
    /// The purpose of the key.
    pub name: String,
    /// The scopes that the key grants, by their names in the contract.
    pub scopes: Vec<String>,
    /// The admin who created the key.
    pub created_by: UserId,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When the key expires; `None` if never.
    pub expires_at: Option<DateTime<Utc>>,
    /// When the key was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl ServiceKey {
    /// Returns whether the key is valid.
    pub fn is_valid(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }

    /// Returns the position in a list by creation time.
    pub fn key(&self) -> Key {
        Key { rank: None, time: self.created_at, id: self.id.0 }
    }
}
