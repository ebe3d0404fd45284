//! A bound on the entries of refused acts, such as sign-ins with a wrong password, which anyone can cause.

use std::{hash::Hash, time::Duration};

use chrono::{DateTime, Utc};
use moka::sync::Cache;

/// Counts the refusals of each key, such as a network, in this process and in each hour, and selects the
/// refusals that get an entry: the first, the second, the fourth, and so on. A key therefore has some 20 entries per hour after a million
/// refusals, and all keys together at most 1,000.
#[derive(Debug, Clone)]
pub struct Refusals<K: Hash + Eq + Send + Sync + 'static> {
    /// By the number of the hour.
    counts: Cache<(i64, K), u64>,
    entries: Cache<i64, u64>,
}

const HOUR: i64 = 60 * 60;
const MAX_KEYS: u64 = 10_000;
/// The most entries per hour and process.
const MAX_ENTRIES: u64 = 1_000;

impl<K: Hash + Eq + Send + Sync + 'static> Default for Refusals<K> {
    fn default() -> Self {
        let unused = Duration::from_secs(HOUR.unsigned_abs());
        let counts = Cache::builder().max_capacity(MAX_KEYS).time_to_idle(unused).build();
        let entries = Cache::builder().max_capacity(2).build();
        Self { counts, entries }
    }
}

impl<K: Hash + Eq + Send + Sync + 'static> Refusals<K> {
    /// Counts a refusal. Returns the number of those of its key in this hour, if it is to have an entry.
    pub fn count(&self, key: K, now: DateTime<Utc>) -> Option<u64> {
        let hour = now.timestamp() / HOUR;
        let count = increment(&self.counts, (hour, key));
        (count.is_power_of_two() && increment(&self.entries, hour) <= MAX_ENTRIES).then_some(count)
    }
}

fn increment<K: Hash + Eq + Send + Sync + 'static>(cache: &Cache<K, u64>, key: K) -> u64 {
    cache.entry(key).and_upsert_with(|count| count.map_or(1, |count| count.into_value() + 1)).into_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: DateTime<Utc> = DateTime::<Utc>::UNIX_EPOCH;

    #[test]
    fn the_entries_of_a_key_become_rarer() {
        let refusals = Refusals::default();
        let entries: Vec<_> = (0..1000).filter_map(|_| refusals.count("192.0.2.1", NOW)).collect();
        assert_eq!(entries, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]);
        assert_eq!(refusals.count("192.0.2.2", NOW), Some(1));
    }

    #[test]
    fn all_keys_together_have_a_bound() {
        let refusals = Refusals::default();
        let entries = (0..2 * MAX_ENTRIES).filter_map(|key| refusals.count(key, NOW)).count();
        assert_eq!(entries as u64, MAX_ENTRIES);
        assert_eq!(refusals.count(0, NOW + chrono::TimeDelta::hours(1)), Some(1), "an hour later");
    }
}
