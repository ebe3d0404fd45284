//! How two limits come to one round trip.
//!
//! An address is to be charged before authentication, so that floods of forged credentials stop there, and a principal
//! after it. But a caller whose credential was good a moment ago will most likely pass again: its address is charged
//! together with its principal. [`Due`] carries the charge inwards; whoever takes it makes it. If nobody did (the
//! path was none, the token had just expired) the outer step makes it on the way out, and trusts that credential no
//! more until it has passed again.

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

use crate::ephemeral::limit::Charge;

/// A charge that is yet to be made, once.
#[derive(Debug, Clone)]
pub(super) struct Due(Arc<(Charge, AtomicBool)>);

impl Due {
    pub(super) fn new(charge: Charge) -> Self {
        Self(Arc::new((charge, AtomicBool::new(false))))
    }

    /// The charge, for the first who asks; whoever is given it makes it.
    pub(super) fn take(&self) -> Option<Charge> {
        let (charge, taken) = &*self.0;
        (!taken.swap(true, Ordering::AcqRel)).then_some(*charge)
    }
}

/// Credentials remembered at once.
const MAX_CREDENTIALS: u64 = 16_384;
/// How long one is remembered. It decides nothing but when its address is charged.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Credentials that lately passed authentication, by a hash keyed per process. Clones share one memory.
#[derive(Debug, Clone)]
pub struct Credentials {
    hasher: RandomState,
    passed: Cache<u64, ()>,
}

impl Default for Credentials {
    fn default() -> Self {
        let passed = Cache::builder().max_capacity(MAX_CREDENTIALS).time_to_live(REMEMBERED).build();
        Self { hasher: RandomState::new(), passed }
    }
}

impl Credentials {
    /// Names the credential of a request, if it has one.
    pub(super) fn of(&self, headers: &HeaderMap) -> Option<u64> {
        headers.get(header::AUTHORIZATION).map(|value| self.hasher.hash_one(value.as_bytes()))
    }

    pub(super) fn passed(&self, credential: u64) {
        if !self.passed.contains_key(&credential) {
            self.passed.insert(credential, ());
        }
    }

    pub(super) fn has_passed(&self, credential: u64) -> bool {
        self.passed.contains_key(&credential)
    }

    pub(super) fn forget(&self, credential: u64) {
        self.passed.invalidate(&credential);
    }
}
