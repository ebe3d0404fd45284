//! Canned answers: texts that staff prepares for frequent requests.

pub mod template;

use chrono::{DateTime, Utc};
use mainstay_kernel::error::Result;
use uuid::Uuid;

use crate::support::id::CannedAnswerId;

/// A canned answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CannedAnswer {
    pub id: CannedAnswerId,
    /// The name, unique regardless of case.
    pub name: String,
    /// A [template](template::parse).
    pub body: String,
    /// The user or service key that created it.
    pub author: Uuid,
    /// The version, which each change increments by one.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last updated.
    pub updated_at: DateTime<Utc>,
}

/// New values for some of a canned answer's fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    pub name: Option<String>,
    pub body: Option<String>,
}

impl CannedAnswer {
    /// Creates a canned answer.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for a text with a faulty placeholder.
    pub fn new(name: String, body: String, author: Uuid, now: DateTime<Utc>) -> Result<Self> {
        template::check(&body, "body")?;
        let id = CannedAnswerId::generate(now);
        Ok(Self { id, name, body, author, version: 1, created_at: now, updated_at: now })
    }

    /// Returns the next version, or `None` if nothing changes.
    ///
    /// # Errors
    /// `VALIDATION_FAILED` for a text with a faulty placeholder.
    pub fn apply(&self, patch: Patch, now: DateTime<Utc>) -> Result<Option<Self>> {
        let Patch { name, body } = patch;
        if let Some(body) = &body {
            template::check(body, "cannedAnswer.body")?;
        }
        let next = Self {
            name: name.unwrap_or_else(|| self.name.clone()),
            body: body.unwrap_or_else(|| self.body.clone()),
            ..self.clone()
        };
        let has_changed = next != *self;
        Ok(has_changed.then(|| Self { version: self.version + 1, updated_at: now, ..next }))
    }
}
