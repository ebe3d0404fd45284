//! Keyed locks in front of the connection pool, for writers that would wait for each other in Postgres anyway.
//!
//! The writers of one key run one at a time, and so use one connection at a time. Without the lock, a customer with
//! fifty concurrent creates could exhaust the pool. Correctness depends on Postgres alone, because other processes do
//! not share these locks.

use std::{sync::Arc, time::Duration};

use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

const IDLE: Duration = Duration::from_secs(60);
/// The most queues. Eviction of one costs connections, not correctness.
const QUEUES: u64 = 100_000;

/// A FIFO lock per key. Cheap to clone.
#[derive(Debug, Clone)]
pub struct KeyedMutex(Cache<Uuid, Arc<Semaphore>>);

impl Default for KeyedMutex {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(QUEUES).time_to_idle(IDLE).build())
    }
}

impl KeyedMutex {
    /// Locks `key` in FIFO order. The deadline of the request bounds the wait. The lock is released when the returned
    /// permit is dropped.
    pub async fn lock(&self, key: Uuid) -> Option<OwnedSemaphorePermit> {
        let queue = self.0.get_with(key, || Arc::new(Semaphore::new(1)));
        // The semaphore is never closed.
        queue.acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn one_key_waits_for_itself_alone() {
        let mutex = KeyedMutex::default();
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let guard = mutex.lock(one).await;
        assert!(mutex.lock(one).now_or_never().is_none());
        assert!(mutex.lock(other).now_or_never().is_some());
        drop(guard);
        assert!(mutex.lock(one).now_or_never().is_some());
    }
}
