//! Versions of resources, for optimistic concurrency control.

use crate::error::{Reason, Result};

/// The versions that the preconditions of a change accept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExpectedVersions {
    /// If-Match: the resource has one of these versions. `None`: it has any.
    one_of: Option<Vec<i64>>,
    /// If-None-Match: the resource has none of these versions. `None`: it does not exist.
    none_of: Option<Vec<i64>>,
}

impl ExpectedVersions {
    /// Parses If-Match and If-None-Match, in which `*` matches any existing resource. `None`: every version is
    /// accepted.
    pub(crate) fn read(if_match: Option<&str>, if_none_match: Option<&str>) -> Option<Self> {
        let expected = Self {
            one_of: if_match.and_then(Self::versions),
            none_of: if_none_match.map_or(Some(Vec::new()), Self::versions),
        };
        (expected != Self { one_of: None, none_of: Some(Vec::new()) }).then_some(expected)
    }

    /// Parses a list of tags. Returns `None` for `*`. A malformed tag matches no version.
    ///
    /// A weak tag counts like a strong one, unlike in RFC 9110, section 13.1.1. A proxy that compresses a response
    /// weakens its tag (`W/"1"`), and some rename it (`"1-gzip"`, `"1;gz"`). The tags of this API identify a version rather
    /// than the bytes of a response: a change that is based on a compressed copy is based on the same version.
    fn versions(header: &str) -> Option<Vec<i64>> {
        if header.trim() == "*" {
            return None;
        }
        let version = |tag: &str| {
            let tag = tag.trim();
            let tag = tag.strip_prefix("W/").unwrap_or(tag).strip_prefix('"')?.strip_suffix('"')?;
            tag.split(|c: char| !c.is_ascii_alphanumeric()).next()?.parse().ok()
        };
        Some(header.split(',').filter_map(version).collect())
    }

    /// Checks that a resource has an accepted version.
    ///
    /// # Errors
    /// `ETAG_MISMATCH`.
    pub fn check(expected: Option<&Self>, version: i64) -> Result<()> {
        let is_accepted = expected.is_none_or(|Self { one_of, none_of }| {
            one_of.as_ref().is_none_or(|versions| versions.contains(&version))
                && none_of.as_ref().is_some_and(|versions| !versions.contains(&version))
        });
        if is_accepted { Ok(()) } else { Err(Reason::EtagMismatch.into()) }
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
            ("\"7-1f2e3d4c-01990000-0000-7000-8000-000000000001\"", Some(vec![7])),
            ("\"6\" , W/\"7\",\"8.zstd\"", Some(vec![6, 7, 8])),
            ("\"7;gz\",W/\"8;br\",\"9--gzip\"", Some(vec![7, 8, 9])),
            ("\"-7\",\"+8\",\"9x\",\"7é\"", Some(vec![7])),
            ("*", None),
            ("7", Some(vec![])),
            ("W/7", Some(vec![])),
            ("w/\"7\"", Some(vec![])),
            ("W/W/\"7\"", Some(vec![])),
            ("\"\"", Some(vec![])),
            ("W/*", Some(vec![])),
        ] {
            assert_eq!(ExpectedVersions::versions(header), versions, "{header}");
        }
    }

    #[test]
    fn both_preconditions_must_hold() {
        for (if_match, if_none_match, is_accepted) in [
            (None, None, true),
            (Some("*"), None, true),
            (Some("\"1\", \"2\""), None, true),
            (Some("\"1\""), None, false),
            (None, Some("*"), false),
            (Some("\"2\""), Some("*"), false),
            (None, Some("W/\"2\""), false),
            (None, Some("\"1\""), true),
            (Some("\"2\""), Some("\"2\""), false),
        ] {
            let expected = ExpectedVersions::read(if_match, if_none_match);
            let outcome = ExpectedVersions::check(expected.as_ref(), 2);
            assert_eq!(outcome.is_ok(), is_accepted, "{if_match:?} {if_none_match:?}");
        }
    }
}
