//! The revocations that all tasks of this instance share.

use std::{
    sync::{Arc, PoisonError, RwLock, Weak},
    time::{Duration, Instant},
};

use crate::identity::revocation::model::{Revocation, RevocationSet, TokenClaims};

/// The revocations that this instance knows. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct KnownRevocations(Arc<RwLock<RevocationSet>>);

impl KnownRevocations {
    /// Returns whether a token that was found valid at `checked_at` is still valid.
    pub fn allow(&self, token: TokenClaims, checked_at: Instant) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).allows(token, checked_at, Instant::now())
    }

    /// Returns the time since the last read; `None` before the first.
    pub(super) fn age(&self) -> Option<Duration> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).age(Instant::now())
    }

    /// Adds revocations, see [`RevocationSet::learn`].
    pub(super) fn learn(&self, revocations: Vec<Revocation>, read_at: Instant, life: Duration) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).learn(revocations, read_at, life);
    }

    pub(super) fn downgrade(&self) -> Weak<RwLock<RevocationSet>> {
        Arc::downgrade(&self.0)
    }

    pub(super) fn upgrade(weak: &Weak<RwLock<RevocationSet>>) -> Option<Self> {
        weak.upgrade().map(Self)
    }
}
