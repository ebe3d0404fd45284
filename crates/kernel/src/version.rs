//! Versions of resources, for optimistic concurrency control.

use crate::error::{Reason, Result};

/// The versions that a caller accepts; the resource must have one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedVersions(pub Vec<i64>);

impl ExpectedVersions {
    /// Checks that a resource has an accepted version.
    ///
    /// # Errors
    /// `ETAG_MISMATCH`.
    pub fn check(expected: Option<&Self>, version: i64) -> Result<()> {
        match expected {
            Some(Self(versions)) if !versions.contains(&version) => Err(Reason::EtagMismatch.into()),
            _ => Ok(()),
        }
    }
}
