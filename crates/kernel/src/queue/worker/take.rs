//! The loop that takes due jobs and due rows.

use std::{collections::HashMap, mem, sync::Arc, time::Duration};

use super::{LEASE, Worker, round_robin::Source, run};
use crate::{
    database::Connection,
    error::Result,
    fault,
    queue::{
        outage::add_jitter,
        rows::Rows,
        store::{self as queue, FreeSlots},
    },
};

/// The polling interval, which bounds the delay of a job that another process added.
const POLL: Duration = Duration::from_millis(500);

/// Takes work when this process has added a job, when a wanted slot becomes free, and at intervals, until the worker
/// stops.
pub(super) async fn run_loop(worker: Arc<Worker>) {
    while !worker.stop.is_cancelled() {
        // Ending jobs free their slots first, so that the next poll takes more at once.
        tokio::task::yield_now().await;
        let wait = match worker.take_due().await {
            Ok(_) => {
                worker.outage.end();
                if worker.slots.may_be_wanted() {
                    continue;
                }
                worker.idle(add_jitter(POLL)).await;
                continue;
            }
            Err(error) => worker.outage.record_failure("jobs can't be taken", &error),
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

    /// Takes and starts due jobs and due rows, up to the free slots. Returns whether there were any.
    pub(super) async fn take_due(self: &Arc<Self>) -> Result<bool> {
        fault::point("jobs.take")?;
        // Rows without a slot in the last poll precede jobs, which may be many, unless the jobs have waited longer.
        let waiting = self.take_due_rows(&[]).await?;
        let free = self.slots.free();
        let jobs = self.take_due_jobs(&free).await?;
        Ok(self.take_due_rows(&free).await? || jobs || waiting)
    }

    /// Takes due rows of the tables that have some. A slot that became free after the offer to the lane's jobs goes to
    /// rows that precede the jobs in the round robin.
    async fn take_due_rows(self: &Arc<Self>, offered: &[FreeSlots]) -> Result<bool> {
        let mut some = false;
        let mut due = mem::take(&mut *self.due_rows.lock());
        due.sort_by_key(|rows| self.round_robin.rank(Source::Rows(rows.name)));
        for rows in due {
            let is_free = |free: &FreeSlots| free.lane == rows.lane.name && free.count > 0;
            let is_its_turn = self.comes_before_jobs(rows) || offered.iter().any(is_free);
            let Some(free) = self.slots.free().into_iter().find(|free| is_its_turn && is_free(free)) else {
                self.due_rows.lock().push(rows);
                continue;
            };
            let take = async move |connection: &mut Connection| rows.take(connection, free.count, LEASE).await;
            let batch = self.app.database.autocommit(take).await?;
            some |= !batch.is_empty();
            // More rows may be due, so that the next free slot is wanted.
            if batch.len() >= free.count {
                self.slots.set_saturated(free.lane, true);
                self.round_robin.move_to_back(Source::Rows(rows.name));
            }
            for row in batch {
                run::start_row(self, rows, row);
            }
        }
        Ok(some)
    }

    /// Returns whether rows have waited longer for their lane than the lane's jobs.
    fn comes_before_jobs(&self, rows: &Rows) -> bool {
        self.round_robin.rank(Source::Rows(rows.name)) < self.round_robin.rank(Source::Jobs(rows.lane.name))
    }

    async fn take_due_jobs(self: &Arc<Self>, free: &[FreeSlots]) -> Result<bool> {
        if free.iter().all(|lane| lane.count == 0) {
            return Ok(false);
        }
        let statement = self.take.as_str();
        let take = async move |connection: &mut Connection| queue::take(connection, statement, free, LEASE).await;
        let jobs = self.app.database.autocommit(take).await?;
        let (due, jobs): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.due_rows().is_some());
        let due = due.iter().filter_map(|due| self.work.rows.get(due.due_rows()?));
        *self.due_rows.lock() = due.collect();
        let mut counts: HashMap<_, usize> = HashMap::new();
        for kind in jobs.iter().filter_map(|job| self.kinds.get(job.kind.as_str())) {
            *counts.entry(kind.lane.name).or_default() += 1;
        }
        for lane in free.iter().filter(|lane| lane.count > 0) {
            let is_saturated = counts.get(lane.lane).is_some_and(|count| *count >= lane.count);
            self.slots.set_saturated(lane.lane, is_saturated);
            if is_saturated {
                self.round_robin.move_to_back(Source::Jobs(lane.lane));
            }
        }
        let some = !jobs.is_empty();
        for job in jobs {
            run::start(self, job);
        }
        Ok(some)
    }
}
