//! The loop that records the outcomes of jobs and renews the leases of running ones. One loop does both, because two
//! concurrent statements that lock the same rows in different orders can deadlock.

use std::{mem, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{LEASE, Outcome, Worker};
use crate::{
    database::Connection,
    error::{Error, Result},
    fault,
    queue::store as queue,
};

/// The interval of heartbeats.
const HEARTBEAT: Duration = Duration::from_millis(2500);
/// The time limit of a statement. It may wait for a lock of an idle transaction or for a connection that has gone
/// silent, and meanwhile all leases run out.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest wait after a failure, for the same reason.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// Records outcomes and renews leases, until all jobs have ended.
pub(super) async fn run_loop(worker: Arc<Worker>, drained: CancellationToken) {
    let mut next = Instant::now() + HEARTBEAT;
    loop {
        let is_last = drained.is_cancelled();
        let turn = async {
            // Leases come first, so that an outcome that can't be recorded does not cost the other jobs their leases.
            if Instant::now() >= next {
                worker.extend_leases().await?;
                next = Instant::now() + HEARTBEAT;
            }
            worker.record_outcomes().await
        };
        if let Err(error) = turn.await {
            let wait = worker.outage.record_failure("the ends of jobs can't be recorded", &error);
            tokio::time::sleep(wait.min(MAX_WAIT)).await;
            continue;
        }
        if is_last {
            return;
        }
        tokio::select! {
            () = drained.cancelled() => {}
            () = worker.outcome_added.notified() => {}
            () = sleep_until(next) => {}
        }
    }
}

/// Limits a statement to [`STATEMENT_TIMEOUT`]. A statement that was executed nevertheless is repeated without effect.
async fn in_time<T>(statement: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(STATEMENT_TIMEOUT, statement)
        .await
        .unwrap_or_else(|_| Err(Error::unavailable(anyhow::anyhow!("no answer within {STATEMENT_TIMEOUT:?}"))))
}

/// Outcomes to record. They are kept until Postgres has confirmed them.
#[derive(Default)]
struct Outcomes {
    completions: Vec<(i64, uuid::Uuid)>,
    retries: Vec<queue::Retry>,
    dead: Vec<(i64, uuid::Uuid, Option<String>)>,
}

impl Worker {
    pub(super) async fn record_outcomes(&self) -> Result<()> {
        let pending = mem::take(&mut *self.outcomes.lock());
        if pending.is_empty() {
            return Ok(());
        }
        let mut outcomes = Outcomes::default();
        for outcome in pending {
            match outcome {
                Outcome::Done { id, lease } => outcomes.completions.push((id, lease)),
                Outcome::Retry(retry) => outcomes.retries.push(retry),
                Outcome::Dead { id, lease, error } => outcomes.dead.push((id, lease, error)),
            }
        }
        let recorded = self.record(&mut outcomes).await;
        let rest = outcomes.completions.into_iter().map(|(id, lease)| Outcome::Done { id, lease });
        let rest = rest.chain(outcomes.retries.into_iter().map(Outcome::Retry));
        self.outcomes.lock().extend(rest.chain(outcomes.dead.into_iter().map(|(id, lease, error)| Outcome::Dead {
            id,
            lease,
            error,
        })));
        recorded
    }

    /// Records outcomes, and removes the confirmed ones.
    async fn record(&self, outcomes: &mut Outcomes) -> Result<()> {
        let database = &self.app.database;
        let mut may_follow = !(outcomes.retries.is_empty() && outcomes.dead.is_empty());
        if !outcomes.completions.is_empty() {
            let completions = &outcomes.completions;
            let complete = async |connection: &mut Connection| queue::complete(connection, completions).await;
            may_follow |= in_time(database.autocommit(complete)).await?;
            outcomes.completions.clear();
        }
        if !outcomes.retries.is_empty() {
            let retries = &outcomes.retries;
            let retry = async |connection: &mut Connection| queue::retry(connection, retries).await;
            in_time(database.autocommit(retry)).await?;
            outcomes.retries.clear();
        }
        while let Some((id, lease, error)) = outcomes.dead.last() {
            let mark_dead =
                async |connection: &mut Connection| queue::mark_dead(connection, *id, *lease, error.as_deref()).await;
            in_time(database.autocommit(mark_dead)).await?;
            outcomes.dead.pop();
        }
        if may_follow {
            self.slots.wake().notify_one();
        }
        Ok(())
    }

    /// Renews the leases of running jobs, and aborts the jobs whose lease another worker has taken over.
    async fn extend_leases(&self) -> Result<()> {
        fault::point("jobs.heartbeat")?;
        let mine: Vec<_> = self.leases.lock().iter().map(|(id, running)| (*id, running.lease)).collect();
        if mine.is_empty() {
            return Ok(());
        }
        let leases = &mine;
        let renew = async |connection: &mut Connection| queue::renew(connection, leases, LEASE).await;
        let renewed = in_time(self.app.database.autocommit(renew)).await?;
        let mut leases = self.leases.lock();
        for (id, lease) in mine {
            // A job that has ended meanwhile is not in the list any more.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_of_postgres_costs_no_job_its_lease() {
        let restart = Duration::from_secs(4);
        assert!(HEARTBEAT + restart + MAX_WAIT + STATEMENT_TIMEOUT < LEASE);
    }
}
