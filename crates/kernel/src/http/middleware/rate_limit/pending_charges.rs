//! Deferred charges, which combine all limits of a request into one round trip.
//!
//! An address must be charged before authentication, which stops floods of forged credentials, and a principal after
//! it. A caller with a recently verified credential or a client certificate will most likely pass. Its address is
//! therefore charged together with its principal. [`PendingCharges`] carries the address charges inwards, and the
//! middleware that takes them applies them. If none takes them (unknown path, expired token, cancelled request), the outer
//! middleware applies them on the way out, and forgets the credential until it is verified again.

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

/// The deferred charges of an address, which are applied once.
#[derive(Debug, Clone)]
pub(crate) struct PendingCharges(Arc<(Charges, AtomicBool)>);

impl PendingCharges {
    pub(crate) fn new(charges: Charges) -> Self {
        Self(Arc::new((charges, AtomicBool::new(false))))
    }

    /// Returns the charges to the first caller, which must then apply them.
    pub(crate) fn take(&self) -> Option<Charges> {
        let (charges, was_taken) = &*self.0;
        (!was_taken.swap(true, Ordering::AcqRel)).then_some(*charges)
    }
}

const MAX_CREDENTIALS: u64 = 16_384;
/// The time for which a credential is remembered after its last use. It only affects the order of charge and
/// authentication.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Recently verified credentials, by a hash with a key per process. Clones share one cache.
#[derive(Debug, Clone)]
pub(crate) struct Credentials(Arc<Inner>);

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
    pub(crate) fn of(&self, headers: &HeaderMap) -> Option<u64> {
        headers.get(header::AUTHORIZATION).map(|value| self.0.hasher.hash_one(value.as_bytes()))
    }

    pub(crate) fn remember(&self, credential: u64) {
        if !self.has_passed(credential) {
            self.0.cache.insert(credential, ());
        }
    }

    pub(crate) fn has_passed(&self, credential: u64) -> bool {
        // Unlike `contains_key`, `get` counts as a use.
        self.0.cache.get(&credential).is_some()
    }

    pub(crate) fn forget(&self, credential: u64) {
        self.0.cache.invalidate(&credential);
    }
}
