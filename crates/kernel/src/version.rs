//! Versions of resources, for optimistic concurrency control.

use crate::error::{Reason, Result};

/// The versions that a precondition accepts. The resource must have one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedVersions(pub Vec<i64>);

impl ExpectedVersions {
    /// Parses If-Match. Returns `None` for `*`, which matches any existing resource. A malformed tag matches no
    /// version.
    ///
    /// A weak tag counts like a strong one, unlike in RFC 9110, section 13.1.1. A proxy that compresses a response
    /// weakens its tag (`W/"1"`), and some rename it (`"1-gzip"`). The tags of this API identify a version rather than
    /// the bytes of a response.
    pub(crate) fn read(header: &str) -> Option<Self> {
        if header.trim() == "*" {
            return None;
        }
        let version = |tag: &str| {
            let tag = tag.trim();
            let tag = tag.strip_prefix("W/").unwrap_or(tag).strip_prefix('"')?.strip_suffix('"')?;
            tag.split(['-', '.', '/']).next()?.parse().ok()
        };
        Some(Self(header.split(',').filter_map(version).collect()))
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_names_versions_in_the_forms_that_proxies_give_them() {
        for (header, versions) in [
            ("\"7\"", Some(vec![7])),
            ("W/\"7\"", Some(vec![7])),
            ("\"7-gzip\"", Some(vec![7])),
            ("W/\"7-1f2e3d4c.br\"", Some(vec![7])),
            ("\"7-1f2e3d4c/01990000-0000-7000-8000-000000000001\"", Some(vec![7])),
            ("\"6\" , W/\"7\",\"8.zstd\"", Some(vec![6, 7, 8])),
            ("*", None),
            ("7", Some(vec![])),
            ("W/7", Some(vec![])),
            ("w/\"7\"", Some(vec![])),
            ("W/W/\"7\"", Some(vec![])),
            ("\"\"", Some(vec![])),
            ("W/*", Some(vec![])),
        ] {
            assert_eq!(ExpectedVersions::read(header).map(|expected| expected.0), versions, "{header}");
        }
    }
}
