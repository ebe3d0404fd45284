//! The loop that takes due jobs.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{LEASE, Worker, run};
use crate::{
    error::Result,
    fault,
    queue::{outage::jittered, store as queue},
};

/// The longest that a job of another process waits for this one.
const POLL: Duration = Duration::from_millis(500);

/// Takes jobs when this process added some, when a slot becomes free that may be wanted, and at intervals, until the
/// worker is stopped.
pub(super) async fn keep(worker: Arc<Worker>) {
    while !worker.stop.is_cancelled() {
        let wait = match worker.take_due().await {
            Ok(_) => {
                worker.outage.is_over();
                if worker.slots.may_be_wanted() {
                    continue;
                }
                worker.idle(jittered(POLL)).await;
                continue;
            }
            Err(error) => worker.outage.failed("jobs can't be taken", &error),
        };
        worker.stop.run_until_cancelled(tokio::time::sleep(wait)).await;
    }
}

impl Worker {
    async fn idle(&self, wait: Duration) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = self.app.database.jobs_added().notified() => {}
            () = self.slots.wake().notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }

    /// Takes and starts due jobs, as far as slots are free. Returns whether there were any.
    pub(super) async fn take_due(self: &Arc<Self>) -> Result<bool> {
        fault::point("jobs.take")?;
        let (rooms, kinds) = (self.slots.room(), self.kinds.keys().copied().collect::<Vec<_>>());
        if rooms.is_empty() {
            return Ok(false);
        }
        let asked = rooms.clone();
        let taken = self
            .app
            .database
            .autocommit(async move |connection| queue::take(connection, &asked, &kinds, LEASE).await)
            .await?;
        let mut counts: HashMap<_, usize> = HashMap::new();
        for kind in taken.iter().filter_map(|job| self.kinds.get(job.kind.as_str())) {
            *counts.entry(kind.lane.name).or_default() += 1;
        }
        for room in rooms {
            let is_saturated = counts.get(room.lane).is_some_and(|count| *count >= room.slots);
            self.slots.saturated(room.lane, is_saturated);
        }
        let some = !taken.is_empty();
        for job in taken {
            run::start(self, job);
        }
        Ok(some)
    }
}
