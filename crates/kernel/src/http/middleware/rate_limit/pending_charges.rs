//! Charges all limits of a request in one round trip.
//!
//! An address must be charged before authentication, which stops floods of forged credentials, and a principal after
//! it. But a caller whose credential recently passed, or who has a client certificate, will most likely pass, so its
//! address is charged together with its principal. [`PendingCharges`] carries the charges inwards; the middleware that
//! takes them makes them. If none did (the path did not exist, the token had just expired), the outer middleware makes them
//! on the way out, and no longer trusts that credential until it has passed again.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, header};
use moka::sync::Cache;

use crate::rate_limit::Charges;

/// The charges of an address that are still to be made, once.
#[derive(Debug, Clone)]
pub(crate) struct PendingCharges(Arc<(Charges, AtomicBool)>);

impl PendingCharges {
    pub(crate) fn new(charges: Charges) -> Self {
        Self(Arc::new((charges, AtomicBool::new(false))))
    }

    /// Returns the charges to the first caller, which must then make them.
    pub(crate) fn take(&self) -> Option<Charges> {
        let (charges, was_taken) = &*self.0;
        (!was_taken.swap(true, Ordering::AcqRel)).then_some(*charges)
    }
}

/// The number of credentials remembered at once.
const MAX_CREDENTIALS: u64 = 16_384;
/// How long a credential is remembered after its last use. It only affects when its address is charged.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Credentials that recently passed authentication, by a hash keyed per process. Clones share one cache.
#[derive(Debug, Clone)]
pub struct Credentials(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    hasher: RandomState,
    cache: Cache<u64, ()>,
}

impl Default for Credentials {
    fn default() -> Self {
        let cache = Cache::builder().max_capacity(MAX_CREDENTIALS).time_to_idle(IDLE_TIMEOUT).build();
        Self(Arc::new(Inner { hasher: RandomState::new(), cache }))
    }
}

impl Credentials {
    /// Returns the hash of a request's credential, if it has one.
    pub(crate) fn of(&self, headers: &HeaderMap) -> Option<u64> {
        headers.get(header::AUTHORIZATION).map(|value| self.0.hasher.hash_one(value.as_bytes()))
    }

    pub(crate) fn remember(&self, credential: u64) {
        if !self.has_passed(credential) {
            self.0.cache.insert(credential, ());
        }
    }

    pub(crate) fn has_passed(&self, credential: u64) -> bool {
        // Unlike `contains_key`, this counts as a use.
        self.0.cache.get(&credential).is_some()
    }

    pub(crate) fn forget(&self, credential: u64) {
        self.0.cache.invalidate(&credential);
    }
}
