//! The loop that records how jobs ended and extends the leases of those that run. One loop does both, because two
//! statements at once that lock the same rows in different orders may wait for each other.

use std::{mem, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{End, LEASE, Worker, lock};
use crate::{database::Connection, error::Result, fault, queue::store as queue};

/// The interval of heartbeats.
const HEARTBEAT: Duration = Duration::from_millis(2500);

/// Records how jobs ended and extends leases, until all jobs have ended.
pub(super) async fn run_loop(worker: Arc<Worker>, drained: CancellationToken) {
    let mut next = Instant::now() + HEARTBEAT;
    loop {
        let is_last = drained.is_cancelled();
        let kept = async {
            // First, so that what can't be recorded does not cost the others their leases.
            if Instant::now() >= next {
                worker.extend_leases().await?;
                next = Instant::now() + HEARTBEAT;
            }
            worker.record_ended().await
        };
        if let Err(error) = kept.await {
            let wait = worker.outage.record_failure("the ends of jobs can't be recorded", &error);
            tokio::time::sleep(wait).await;
            continue;
        }
        if is_last {
            return;
        }
        tokio::select! {
            () = drained.cancelled() => {}
            () = worker.ended_some.notified() => {}
            () = sleep_until(next) => {}
        }
    }
}

/// What is to be recorded. It is kept until Postgres has it.
#[derive(Default)]
struct Ends {
    done: Vec<(i64, uuid::Uuid)>,
    again: Vec<queue::Ended>,
    dead: Vec<(i64, uuid::Uuid, Option<String>)>,
}

impl Worker {
    /// Records how jobs ended.
    pub(super) async fn record_ended(&self) -> Result<()> {
        let ended = mem::take(&mut *lock(&self.ended));
        if ended.is_empty() {
            return Ok(());
        }
        let mut ends = Ends::default();
        for end in ended {
            match end {
                End::Done { id, lease } => ends.done.push((id, lease)),
                End::Again(ended) => ends.again.push(ended),
                End::Dead { id, lease, error } => ends.dead.push((id, lease, error)),
            }
        }
        let recorded = self.record(&mut ends).await;
        let left = ends.done.into_iter().map(|(id, lease)| End::Done { id, lease });
        let left = left.chain(ends.again.into_iter().map(End::Again));
        lock(&self.ended).extend(left.chain(ends.dead.into_iter().map(|(id, lease, error)| End::Dead {
            id,
            lease,
            error,
        })));
        recorded
    }

    /// Records ends, and removes those that were.
    async fn record(&self, ends: &mut Ends) -> Result<()> {
        let database = &self.app.database;
        let mut may_follow = !(ends.again.is_empty() && ends.dead.is_empty());
        if !ends.done.is_empty() {
            let done = &ends.done;
            let complete = async |connection: &mut Connection| queue::complete(connection, done).await;
            may_follow |= database.autocommit(complete).await?;
            ends.done.clear();
        }
        if !ends.again.is_empty() {
            let again = &ends.again;
            database.autocommit(async |connection| queue::retry(connection, again).await).await?;
            ends.again.clear();
        }
        while let Some((id, lease, error)) = ends.dead.last() {
            let bury = async |connection: &mut Connection| queue::bury(connection, *id, *lease, error.as_deref()).await;
            database.autocommit(bury).await?;
            ends.dead.pop();
        }
        if may_follow {
            self.slots.wake().notify_one();
        }
        Ok(())
    }

    /// Extends the leases of the jobs that run, and stops those that another worker has taken over.
    async fn extend_leases(&self) -> Result<()> {
        fault::point("jobs.heartbeat")?;
        let mine: Vec<_> = lock(&self.leases).iter().map(|(id, running)| (*id, running.lease)).collect();
        if mine.is_empty() {
            return Ok(());
        }
        let leases = &mine;
        let renew = async |connection: &mut Connection| queue::renew(connection, leases, LEASE).await;
        let renewed = self.app.database.autocommit(renew).await?;
        let mut leases = lock(&self.leases);
        for (id, lease) in mine {
            // A job that ended meanwhile is not in the list any more.
            if !renewed.contains(&id) && leases.get(&id).is_some_and(|running| running.lease == lease) {
                tracing::warn!(job = id, "a job lost its lease and stops here: its worker was silent for too long");
                if let Some(running) = leases.remove(&id) {
                    running.task.abort();
                }
            }
        }
        Ok(())
    }
}
