//! Queues in front of the pool, for writers that would wait for each other in Postgres anyway.
//!
//! Those of one key that are let through one by one hold one connection between them, not one each: a customer that
//! sends fifty creates at once does not take the pool from everybody else. What is right is still decided in Postgres,
//! for the others in the queue may be in another process.

use std::{sync::Arc, time::Duration};

use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

/// Queues nobody stood in for so long are forgotten.
const IDLE: Duration = Duration::from_secs(60);
/// Queues that are remembered; a forgotten one costs connections, not correctness.
const QUEUES: u64 = 100_000;

/// A queue for each key. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Turns(Cache<Uuid, Arc<Semaphore>>);

impl Default for Turns {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(QUEUES).time_to_idle(IDLE).build())
    }
}

impl Turns {
    /// Waits for the turn of `key`, first come, first served, as long as the caller's deadline lets it. The turn ends
    /// when what is returned is dropped.
    pub async fn take(&self, key: Uuid) -> Option<OwnedSemaphorePermit> {
        let queue = self.0.get_with(key, || Arc::new(Semaphore::new(1)));
        // Never closed.
        queue.acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn one_key_waits_for_itself_alone() {
        let turns = Turns::default();
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let turn = turns.take(one).await;
        assert!(turns.take(one).now_or_never().is_none());
        assert!(turns.take(other).now_or_never().is_some());
        drop(turn);
        assert!(turns.take(one).now_or_never().is_some());
    }
}
