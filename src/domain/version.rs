//! Versions of a resource, for who changes what somebody else may have changed.

use crate::error::{Reason, Result};

/// The versions that a caller allows a resource to have: one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected(pub Vec<i64>);

impl Expected {
    /// Whether a resource of this version may be changed.
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
