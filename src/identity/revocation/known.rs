//! The revocations that this instance knows.

use std::{
    sync::{Arc, PoisonError, RwLock, Weak},
    time::{Duration, Instant},
};

use crate::identity::revocation::model::{Grounds, Revocation, Revoked};

/// The revocations that this instance knows. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct KnownRevocations(Arc<RwLock<Revoked>>);

impl KnownRevocations {
    /// Returns whether a token that was found good at `checked_at` still is.
    pub fn allow(&self, token: Grounds, checked_at: Instant) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).allows(token, checked_at, Instant::now())
    }

    /// Returns the time since the last news; `None` before the first.
    pub(super) fn age(&self) -> Option<Duration> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).age(Instant::now())
    }

    /// Adds news, see [`Revoked::learn`].
    pub(super) fn learn(&self, news: Vec<Revocation>, read_at: Instant, life: Duration) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).learn(news, read_at, life);
    }

    pub(super) fn downgrade(&self) -> Weak<RwLock<Revoked>> {
        Arc::downgrade(&self.0)
    }

    pub(super) fn upgrade(weak: &Weak<RwLock<Revoked>>) -> Option<Self> {
        weak.upgrade().map(Self)
    }
}
