//! A short-lived cache of verified service keys.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use moka::sync::Cache;

use crate::identity::credential::model as token;
use mainstay_kernel::{caller::Caller, clock::Clock, id::ServiceKeyId};

/// Maximum number of cached keys.
const MAX_KEYS: u64 = 10_000;
/// The age from which a key is verified again: the longest time that a revoked key is still accepted.
const MAX_AGE: TimeDelta = TimeDelta::seconds(10);

/// The cache, by the SHA-256 of the secret. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ServiceKeyCache {
    clock: Clock,
    verified: Cache<[u8; 32], Arc<Entry>>,
}

#[derive(Debug)]
struct Entry {
    caller: Caller,
    id: ServiceKeyId,
    expires_at: Option<DateTime<Utc>>,
    verified_at: DateTime<Utc>,
}

impl ServiceKeyCache {
    /// Makes an empty cache.
    pub fn new(clock: Clock) -> Self {
        let cache = Cache::builder()
            .max_capacity(MAX_KEYS)
            .time_to_live(MAX_AGE.to_std().unwrap_or(Duration::from_secs(10)))
            .support_invalidation_closures();
        Self { clock, verified: cache.build() }
    }

    /// Returns the caller of a secret that was verified within the last ten seconds and has not expired since.
    pub fn get(&self, secret: &str) -> Option<Caller> {
        let now = self.clock.now();
        let entry = self.verified.get(&token::hash(secret))?;
        let is_fresh = now - entry.verified_at < MAX_AGE && entry.expires_at.is_none_or(|end| now < end);
        is_fresh.then(|| entry.caller.clone())
    }

    /// Caches a verified secret.
    pub fn insert(&self, secret: &str, id: ServiceKeyId, caller: Caller, expires_at: Option<DateTime<Utc>>) {
        let entry = Entry { caller, id, expires_at, verified_at: self.clock.now() };
        self.verified.insert(token::hash(secret), Arc::new(entry));
    }

    /// Removes a key, so that this instance refuses it at once.
    pub fn invalidate(&self, id: ServiceKeyId) {
        // An error is possible only for a cache that was built without support for it.
        self.verified.invalidate_entries_if(move |_, entry| entry.id == id).ok();
    }
}
