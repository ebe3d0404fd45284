//! A sample item and its transitions.

use chrono::{DateTime, Utc};
use mainstay_kernel::{
    id::{AccountId, ids},
    page::Key,
};

ids! {
    /// A sample item.
    SampleItemId
}

/// A sample item; its fields are documented in `sample_item.proto`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleItem {
    pub id: SampleItemId,
    pub account: AccountId,
    pub name: String,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// New values for some of the fields of a sample item.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    pub name: Option<String>,
}

impl SampleItem {
    /// Makes a new sample item.
    pub fn new(account: AccountId, name: String, now: DateTime<Utc>) -> Self {
        Self { id: SampleItemId::generate(now), account, name, version: 1, created_at: now, updated_at: now }
    }

    /// Returns the next version, or `None` if nothing changes.
    pub fn apply(&self, patch: Patch, now: DateTime<Utc>) -> Option<Self> {
        let Patch { name } = patch;
        let next = Self { name: name.unwrap_or_else(|| self.name.clone()), ..self.clone() };
        (next != *self).then(|| Self { version: self.version + 1, updated_at: now, ..next })
    }

    /// Returns the position in a list.
    pub fn key(&self) -> Key {
        Key { rank: None, time: self.created_at, id: self.id.0 }
    }
}
