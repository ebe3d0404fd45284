//! The in-process stand-in for Redis: a bounded table of values with expiry.
//!
//! [`Local::run`] corresponds to a Redis script: it has exclusive access to the whole table, so that operations over
//! several keys are atomic. All calls share one lock, which is acceptable for a single process. Rate limits, which
//! affect every request, have a separate table (`rate_limit/arrivals.rs`).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use parking_lot::Mutex;

use crate::{clock::Clock, redis::Unavailable};

const MAX_VALUES: usize = 100_000;
/// The most bytes of a value, which bounds the memory of the table.
const MAX_VALUE_BYTES: usize = 4096;

/// The stand-in. Clones share one table.
#[derive(Clone)]
pub struct Local {
    clock: Clock,
    values: Arc<Mutex<Values>>,
}

debug_fields!(Local);

#[derive(Default)]
struct Values {
    by_key: BTreeMap<Arc<str>, Value>,
    by_expiry: BTreeSet<(DateTime<Utc>, Arc<str>)>,
}

struct Value {
    bytes: Bytes,
    expires_at: DateTime<Utc>,
}

impl Local {
    /// Creates an empty table.
    pub fn new(clock: Clock) -> Self {
        Self { clock, values: Arc::default() }
    }

    /// Runs `work` with exclusive access to the table. Its changes are kept, even if it returns an error.
    pub fn run<T>(&self, work: impl FnOnce(&mut Table<'_>) -> T) -> T {
        let mut values = self.values.lock();
        let now = self.clock.now();
        values.expire(now);
        work(&mut Table { values: &mut values, now })
    }
}

/// The table, while one caller has exclusive access.
pub struct Table<'a> {
    values: &'a mut Values,
    now: DateTime<Utc>,
}

impl fmt::Debug for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("values", &self.values.by_key.len()).finish()
    }
}

impl Table<'_> {
    /// Returns the time of the run.
    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// Returns the value of a key.
    pub fn get(&self, key: &str) -> Option<Bytes> {
        self.values.by_key.get(key).map(|value| value.bytes.clone())
    }

    /// Sets a value that expires after `ttl`. A full table evicts the value with the earliest expiry.
    ///
    /// # Errors
    /// [`Unavailable::TooLarge`].
    pub fn set(&mut self, key: &str, bytes: impl Into<Bytes>, ttl: Duration) -> Result<(), Unavailable> {
        let bytes = bytes.into();
        let is_present = self.values.by_key.contains_key(key);
        if bytes.len() > MAX_VALUE_BYTES {
            return Err(Unavailable::TooLarge);
        }
        if !is_present
            && self.values.by_key.len() >= MAX_VALUES
            && let Some((_, next)) = self.values.by_expiry.pop_first()
        {
            self.values.by_key.remove(&next);
        }
        self.remove(key);
        let key: Arc<str> = key.into();
        let expires_at =
            self.now.checked_add_signed(chrono::TimeDelta::from_std(ttl).unwrap_or(chrono::TimeDelta::MAX));
        let expires_at = expires_at.unwrap_or(DateTime::<Utc>::MAX_UTC);
        self.values.by_expiry.insert((expires_at, key.clone()));
        self.values.by_key.insert(key, Value { bytes, expires_at });
        Ok(())
    }

    /// Removes a key and returns its value.
    pub fn remove(&mut self, key: &str) -> Option<Bytes> {
        let (key, value) = self.values.by_key.remove_entry(key)?;
        self.values.by_expiry.remove(&(value.expires_at, key));
        Some(value.bytes)
    }

    /// Returns the keys that begin with `prefix`, in order, with their values.
    pub fn with_prefix<'t>(&'t self, prefix: &'t str) -> impl Iterator<Item = (&'t str, Bytes)> {
        let from = self.values.by_key.range::<str, _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded));
        from.take_while(move |(key, _)| key.starts_with(prefix)).map(|(key, value)| (&**key, value.bytes.clone()))
    }
}

impl Values {
    fn expire(&mut self, now: DateTime<Utc>) {
        while let Some((expires_at, key)) = self.by_expiry.first()
            && *expires_at <= now
        {
            self.by_key.remove(key);
            self.by_expiry.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn values_expire() {
        let clock = Clock::default();
        let local = Local::new(clock.clone());
        local.run(|table| table.set("a", "1", MINUTE).and_then(|()| table.set("b", "2", 2 * MINUTE))).unwrap();
        local.run(|table| table.set("a", "3", MINUTE)).unwrap();
        assert_eq!(local.run(|table| table.get("a")).as_deref(), Some(b"3".as_slice()));
        clock.advance(TimeDelta::seconds(61));
        assert_eq!(local.run(|table| (table.get("a"), table.remove("b"))), (None, Some(Bytes::from("2"))));
        clock.advance(TimeDelta::seconds(60));
        assert!(local.run(|table| table.values.by_expiry.is_empty() && table.values.by_key.is_empty()));
    }

    #[test]
    fn a_prefix_finds_its_own_only() {
        let local = Local::new(Clock::default());
        local.run(|table| ["u:1:a", "u:1:b", "u:10:a", "u:0"].map(|key| table.set(key, "", MINUTE).unwrap()));
        let keys = local.run(|table| table.with_prefix("u:1:").map(|(key, _)| key.to_owned()).collect::<Vec<_>>());
        assert_eq!(keys, ["u:1:a", "u:1:b"]);
    }

    #[test]
    fn a_full_table_drops_what_expires_next() {
        let local = Local::new(Clock::default());
        local.run(|table| {
            for number in 0..MAX_VALUES {
                table.set(&number.to_string(), "", MINUTE).unwrap();
            }
            assert!(matches!(table.set("0", vec![0; MAX_VALUE_BYTES + 1], MINUTE), Err(Unavailable::TooLarge)));
            table.set("0", "in use", 2 * MINUTE).unwrap();
            for number in MAX_VALUES..2 * MAX_VALUES - 1 {
                table.set(&number.to_string(), "", MINUTE).unwrap();
            }
            assert_eq!((table.values.by_key.len(), table.values.by_expiry.len()), (MAX_VALUES, MAX_VALUES));
            assert!(table.get("0").is_some() && table.get("1").is_none(), "the next to expire makes room");
        });
    }
}
