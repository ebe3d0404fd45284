//! A short-lived cache of verified access tokens and service keys.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use moka::sync::Cache;

use crate::identity::{revocation::known::KnownRevocations, tokens::Access};
use mainstay_kernel::caller::Caller;

/// Maximum number of cached tokens, about 300 bytes each.
const MAX_TOKENS: u64 = 100_000;
/// The age from which a token's user is checked again, in addition to polling for revocations.
const MAX_AGE: TimeDelta = TimeDelta::seconds(30);
/// The age at which one request checks again while the others still use the entry. This prevents a thundering herd when
/// the entry expires.
const RENEW: TimeDelta = TimeDelta::seconds(20);

/// The cache, by the SHA-256 of the credential.
pub(crate) struct VerifiedTokens(Cache<[u8; 32], Arc<Entry>>);

struct Entry {
    access: Access,
    verified_at: DateTime<Utc>,
    checked_at: Instant,
    renewing: AtomicBool,
}

impl Default for VerifiedTokens {
    fn default() -> Self {
        let cache = Cache::builder()
            .max_capacity(MAX_TOKENS)
            .time_to_live(MAX_AGE.to_std().unwrap_or(Duration::from_secs(30)))
            .support_invalidation_closures();
        Self(cache.build())
    }
}

impl VerifiedTokens {
    pub(crate) fn insert(&self, hash: [u8; 32], access: Access, now: DateTime<Utc>) {
        self.0.insert(
            hash,
            Arc::new(Entry { access, verified_at: now, checked_at: Instant::now(), renewing: AtomicBool::new(false) }),
        );
    }

    pub(crate) fn get(
        &self,
        hash: &[u8; 32],
        from: Option<IpAddr>,
        now: DateTime<Utc>,
        revocations: &KnownRevocations,
    ) -> Option<Caller> {
        let entry = self.0.get(hash)?;
        if !entry.access.networks.as_ref().is_none_or(|networks| networks.admit(from)) {
            return None;
        }
        let age = now - entry.verified_at;
        let is_unexpired = age < MAX_AGE && now < entry.access.expires_at;
        let mut holders = entry.access.holders();
        let is_fresh = is_unexpired && holders.all(|claims| revocations.allow(claims, entry.checked_at));
        if !is_fresh || (age >= RENEW && !entry.renewing.swap(true, Ordering::Relaxed)) {
            return None;
        }
        Some(entry.access.caller.clone())
    }

    pub(crate) fn invalidate(&self, is_revoked: impl Fn(&Access) -> bool + Send + Sync + 'static) {
        // An error is possible only for a cache that was built without support for it.
        self.0.invalidate_entries_if(move |_, entry| is_revoked(&entry.access)).ok();
    }
}
