//! The layer in this process.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use moka::{
    ops::compute::{CompResult, Op},
    sync,
};
use tokio::time::Instant;

use super::{Entry, GRACE, Key, RECHECK};

/// What an entry costs besides its bytes.
const OVERHEAD: usize = 256;
/// Tags whose floors are remembered.
const MAX_FLOORS: u64 = 100_000;
/// How long a floor is remembered: longer than any value that it could hold back.
const FLOOR_TTL: Duration = Duration::from_secs(3600);

/// The values that this process has, and the floors of their tags.
#[derive(Debug)]
pub(super) struct Local {
    entries: sync::Cache<Arc<str>, CachedEntry>,
    floors: sync::Cache<Arc<str>, i64>,
    /// Values that were checked before are checked again: notices of changes may have been lost then.
    listening_since: Mutex<Instant>,
    /// Grows after anything is outdated.
    generation: AtomicU64,
}

#[derive(Debug, Clone)]
struct CachedEntry {
    entry: Arc<Entry>,
    /// When it was last known not to be outdated.
    checked_at: Instant,
}

impl Local {
    pub(super) fn new(max_bytes: usize) -> Self {
        let weight = |name: &Arc<str>, cached: &CachedEntry| {
            let bytes = name.len() + cached.entry.value.as_ref().map_or(0, bytes::Bytes::len) + OVERHEAD;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        Self {
            entries: sync::Cache::builder()
                .weigher(weight)
                .max_capacity(max_bytes as u64)
                .time_to_live(FLOOR_TTL)
                .build(),
            floors: sync::Cache::builder().max_capacity(MAX_FLOORS).time_to_live(FLOOR_TTL).build(),
            listening_since: Mutex::new(Instant::now()),
            generation: AtomicU64::new(0),
        }
    }

    /// Returns a value that needs no check.
    pub(super) fn fresh(&self, key: &Key) -> Option<Arc<Entry>> {
        let CachedEntry { entry, checked_at } = self.entries.get(&key.name)?;
        let is_checked = checked_at.elapsed() < RECHECK && checked_at >= self.listening_since();
        (is_checked && entry.is_fresh() && entry.version >= self.floor(&key.tag)).then_some(entry)
    }

    /// Returns a value that may be served while its source is unavailable.
    pub(super) fn fallback(&self, key: &Key) -> Option<Arc<Entry>> {
        let CachedEntry { entry, .. } = self.entries.get(&key.name)?;
        Some(entry).filter(|entry| entry.is_within_grace() && entry.version >= self.floor(&key.tag))
    }

    /// Keeps a value that was just read or checked, unless there is a newer one.
    pub(super) fn put(&self, key: &Key, entry: &Arc<Entry>) {
        if entry.version < self.floor(&key.tag) {
            return;
        }
        let cached = CachedEntry { entry: entry.clone(), checked_at: Instant::now() };
        self.entries.entry(key.name.clone()).and_compute_with(|existing| match existing {
            Some(existing) if existing.value().entry.version > cached.entry.version => Op::Nop,
            _ => Op::Put(cached),
        });
    }

    /// Returns the version below which values with this tag are outdated.
    pub(super) fn floor(&self, tag: &Arc<str>) -> i64 {
        self.floors.get(tag).unwrap_or(i64::MIN)
    }

    /// Raises the floor of a tag.
    pub(super) fn raise(&self, tag: &str, version: i64) {
        let raised = self.floors.entry(tag.into()).and_compute_with(|existing| match existing {
            Some(existing) if *existing.value() >= version => Op::Nop,
            _ => Op::Put(version),
        });
        if !matches!(raised, CompResult::Unchanged(_)) {
            self.generation.fetch_add(1, Ordering::Release);
        }
    }

    /// Returns a number that is another one after anything was outdated.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Has every value checked again, because notices may have been lost until now.
    pub(super) fn recheck_all(&self) {
        *self.listening_since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.generation.fetch_add(1, Ordering::Release);
    }

    fn listening_since(&self) -> Instant {
        *self.listening_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const _: () = assert!(FLOOR_TTL.as_secs() > GRACE.as_secs(), "a floor must outlive what it holds back");

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key { name: "one".into(), tag: "one".into(), ttl: RECHECK }
    }

    fn entry(version: i64) -> Arc<Entry> {
        Arc::new(Entry { version, value: None, read_at: Instant::now(), ttl: RECHECK })
    }

    #[test]
    fn a_newer_value_replaces_an_older_one_and_not_the_reverse() {
        let (local, key) = (Local::new(1 << 20), key());
        for (version, expected) in [(2, 2), (1, 2), (3, 3)] {
            local.put(&key, &entry(version));
            assert_eq!(local.fresh(&key).map(|entry| entry.version), Some(expected));
        }
    }

    #[test]
    fn a_floor_does_not_sink_and_keeps_out_what_is_below() {
        let (local, key) = (Local::new(1 << 20), key());
        local.raise(&key.tag, 5);
        let generation = local.generation();
        local.raise(&key.tag, 3);
        assert_eq!((local.floor(&key.tag), local.generation()), (5, generation));
        local.put(&key, &entry(4));
        assert!(local.entries.get(&key.name).is_none(), "it would be there again when the floor is forgotten");
        local.put(&key, &entry(5));
        assert!(local.fresh(&key).is_some());
    }
}
