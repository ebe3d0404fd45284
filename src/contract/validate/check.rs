//! The conditions behind the rules. None of them allocates, but for the duplicates of a long list.

use std::{collections::HashSet, hash::Hash};

/// Up to here comparing every pair is cheaper than hashing.
const FEW: usize = 32;

/// Seconds from 0001-01-01T00:00:00Z up to and without 10000-01-01T00:00:00Z, counted from 1970.
const YEARS_1_TO_9999: std::ops::Range<i64> = -62_135_596_800..253_402_300_800;

/// How many characters a string has.
pub(super) fn characters(value: &str) -> usize {
    value.chars().count()
}

/// Whether a string holds a NUL character.
pub(super) fn has_nul(value: &str) -> bool {
    value.as_bytes().contains(&0)
}

/// Whether a list holds no item twice.
pub(super) fn unique<T: Eq + Hash>(items: &[T]) -> bool {
    if items.len() <= FEW {
        return items.iter().enumerate().all(|(index, item)| !items[..index].contains(item));
    }
    let mut seen = HashSet::with_capacity(items.len());
    items.iter().all(|item| seen.insert(item))
}

/// Whether a string is a UUID in its canonical text form.
pub(super) fn is_uuid(value: &str) -> bool {
    let hyphen = |index: usize| matches!(index, 8 | 13 | 18 | 23);
    value.len() == 36
        && value.bytes().enumerate().all(
            |(index, byte)| {
                if hyphen(index) { byte == b'-' } else { byte.is_ascii_hexdigit() }
            },
        )
}

/// Whether a string is an e-mail address as HTML forms understand it: what can be typed into a browser can be sent.
pub(super) fn is_email(value: &str) -> bool {
    let atom = |byte: u8| byte.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&byte);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    value
        .rsplit_once('@')
        .is_some_and(|(local, domain)| !local.is_empty() && local.bytes().all(atom) && domain.split('.').all(label))
}

/// Whether a timestamp is one that RFC 3339, and so JSON, can write.
pub(super) fn is_rfc3339(seconds: i64, nanos: i32) -> bool {
    YEARS_1_TO_9999.contains(&seconds) && (0..1_000_000_000).contains(&nanos)
}
