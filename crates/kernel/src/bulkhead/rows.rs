//! Recent row sizes per method and caller, for the estimate of the size of the next list.
//!
//! The rows of a method differ in size by caller. A mean over all callers would hide the large lists of one behind the
//! small ones of the others, and a maximum over all would make every caller wait for the largest rows of one. The
//! estimate of a known caller is therefore the largest of its own rows, which decays with its later lists. The estimate
//! of an unknown caller is the mean of the method.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use moka::sync;

use super::Requester;

/// The most rows in the mean of a method.
const SAMPLE: usize = 1000;
/// The most callers, each with a method, whose row size is kept; an entry takes some 200 bytes.
const MAX_KNOWN: u64 = 10_000;
/// The decay: each list with smaller rows moves the caller's value by 1/16 of the difference towards them. The
/// half-life is eleven lists.
const FADING: usize = 16;

/// Row sizes, by the path of the method and by its caller.
#[derive(Debug)]
pub(super) struct RowSizes {
    all: Mutex<HashMap<&'static str, Rows>>,
    /// In bytes.
    by_caller: sync::Cache<(&'static str, Requester), usize>,
}

#[derive(Debug, Default)]
struct Rows {
    count: usize,
    bytes: usize,
}

impl Default for RowSizes {
    fn default() -> Self {
        Self { all: Mutex::default(), by_caller: sync::Cache::new(MAX_KNOWN) }
    }
}

impl RowSizes {
    /// Returns the estimated bytes of a response with `rows` rows; 0 before the first response of the method.
    pub(super) fn estimate(&self, method: &'static str, rows: usize, caller: Requester) -> usize {
        if let Some(largest) = self.by_caller.get(&(method, caller)) {
            return rows.saturating_mul(largest);
        }
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(method).map_or(0, |all| rows.saturating_mul(all.bytes) / all.count)
    }

    /// Records the size of a response.
    pub(super) fn note(&self, method: &'static str, rows: usize, bytes: usize, caller: Requester) {
        if rows == 0 {
            return;
        }
        self.note_mean(method, rows, bytes);
        let (own, key) = (bytes.div_ceil(rows), (method, caller));
        let before = self.by_caller.get(&key);
        // The update is not atomic: of two concurrent ones, one may be lost.
        let after = before.filter(|before| *before > own).map_or(own, |before| before - (before - own) / FADING);
        if before != Some(after) {
            self.by_caller.insert(key, after);
        }
    }

    fn note_mean(&self, method: &'static str, rows: usize, bytes: usize) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let all = all.entry(method).or_default();
        all.count += rows;
        all.bytes += bytes;
        if all.count > SAMPLE {
            all.count /= 2;
            all.bytes /= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const METHOD: &str = "/shop.Shop/ListItems";

    fn caller(number: u8) -> Requester {
        Requester::Principal(Uuid::from_u128(number.into()))
    }

    fn estimate(sizes: &RowSizes, number: u8) -> usize {
        sizes.estimate(METHOD, 100, caller(number))
    }

    #[test]
    fn small_lists_of_others_do_not_hide_a_large_one() {
        let sizes = RowSizes::default();
        assert_eq!(estimate(&sizes, 1), 0, "nothing is known");
        sizes.note(METHOD, 100, 1_000_000, caller(1));
        assert_eq!(estimate(&sizes, 2), 1_000_000, "the rows of others are likely to be alike");
        for _ in 0..100 {
            sizes.note(METHOD, 100, 1000, caller(2));
        }
        assert_eq!(estimate(&sizes, 1), 1_000_000);
        assert_eq!(estimate(&sizes, 2), 1000, "nobody waits for the rows of others");
        assert!(estimate(&sizes, 3) < 5000, "the mean of the latest");
    }

    #[test]
    fn small_lists_of_a_caller_fade_its_large_one() {
        let sizes = RowSizes::default();
        sizes.note(METHOD, 100, 1_000_000, caller(1));
        sizes.note(METHOD, 100, 1000, caller(1));
        assert!(estimate(&sizes, 1) > 900_000, "one small page says little of the next");
        for _ in 0..100 {
            sizes.note(METHOD, 100, 1000, caller(1));
        }
        assert!(estimate(&sizes, 1) < 10_000, "its rows are small by now");
        sizes.note(METHOD, 0, 50, caller(1));
        assert!(estimate(&sizes, 1) < 10_000, "no rows have no size");
        sizes.note(METHOD, 1, 10_000, caller(1));
        assert_eq!(estimate(&sizes, 1), 1_000_000, "what is larger counts at once");
    }
}
