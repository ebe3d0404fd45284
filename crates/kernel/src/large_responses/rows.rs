//! The recent sizes of rows, from which the size of the next list is estimated.
//!
//! The rows of a method differ by requester. A mean over all requesters would hide the large lists of one behind the small
//! lists of the others, and the maximum over all would delay every requester for the rows of one. Each requester therefore
//! has its own estimate: the size of its largest recent rows, which decays with each smaller list. A requester without an
//! estimate gets the mean of all.

use std::collections::HashMap;

use moka::sync;
use parking_lot::Mutex;

use super::Requester;

/// The maximum number of rows in the mean of a method.
const SAMPLE: usize = 1000;
/// The maximum number of estimates, each of a requester and a method; an estimate takes some 200 bytes.
const MAX_KNOWN: u64 = 10_000;
/// Each list with smaller rows moves the estimate by this part towards them: after eleven lists it is halfway.
const FADING: usize = 16;

/// The sizes of rows, by the path of their method, and by requester.
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
    /// Returns the likely bytes of a response with this number of rows; 0 before the first response.
    pub(super) fn estimate(&self, method: &'static str, rows: usize, caller: Requester) -> usize {
        if let Some(largest) = self.by_caller.get(&(method, caller)) {
            return rows.saturating_mul(largest);
        }
        let all = self.all.lock();
        all.get(method).map_or(0, |all| rows.saturating_mul(all.bytes) / all.count)
    }

    pub(super) fn record(&self, method: &'static str, rows: usize, bytes: usize, caller: Requester) {
        if rows == 0 {
            return;
        }
        self.record_mean(method, rows, bytes);
        let (own, key) = (bytes.div_ceil(rows), (method, caller));
        let before = self.by_caller.get(&key);
        // Of two concurrent updates, one may be lost.
        let after = before.filter(|before| *before > own).map_or(own, |before| before - (before - own) / FADING);
        if before != Some(after) {
            self.by_caller.insert(key, after);
        }
    }

    fn record_mean(&self, method: &'static str, rows: usize, bytes: usize) {
        let mut all = self.all.lock();
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
        sizes.record(METHOD, 100, 1_000_000, caller(1));
        assert_eq!(estimate(&sizes, 2), 1_000_000, "the rows of others are likely to be alike");
        for _ in 0..100 {
            sizes.record(METHOD, 100, 1000, caller(2));
        }
        assert_eq!(estimate(&sizes, 1), 1_000_000);
        assert_eq!(estimate(&sizes, 2), 1000, "no caller waits for the rows of others");
        assert!(estimate(&sizes, 3) < 5000, "the mean of the latest");
    }

    #[test]
    fn small_lists_of_a_caller_fade_its_large_one() {
        let sizes = RowSizes::default();
        sizes.record(METHOD, 100, 1_000_000, caller(1));
        sizes.record(METHOD, 100, 1000, caller(1));
        assert!(estimate(&sizes, 1) > 900_000, "one small page says little of the next");
        for _ in 0..100 {
            sizes.record(METHOD, 100, 1000, caller(1));
        }
        assert!(estimate(&sizes, 1) < 10_000, "its rows are small by now");
        sizes.record(METHOD, 0, 50, caller(1));
        assert!(estimate(&sizes, 1) < 10_000, "no rows have no size");
        sizes.record(METHOD, 1, 10_000, caller(1));
        assert_eq!(estimate(&sizes, 1), 1_000_000, "what is larger counts at once");
    }
}
