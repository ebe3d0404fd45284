//! The loop that measures the queue, the partitions, and what modules measure beside them.

use std::{sync::Arc, time::Duration};

use super::Worker;
use crate::{
    partitions,
    queue::{
        depth::{self, UNKNOWN, Waiting},
        outage::add_jitter,
    },
};

/// The interval of measurements.
const INTERVAL: Duration = Duration::from_secs(15);

/// Measures at intervals until the worker is stopped.
pub(super) async fn run_loop(worker: Arc<Worker>) {
    while !worker.stop.is_cancelled() {
        // An outage is reported by the loops that work.
        let mut found = depth::waiting(&worker.app, worker.work.jobs, worker.work.rows).await.unwrap_or_default();
        // What was there and is not any more is none.
        if !found.is_empty() && !found.iter().any(|waiting| waiting.lane == UNKNOWN) {
            found.push(Waiting::empty(UNKNOWN));
        }
        for waiting in found {
            #[expect(clippy::cast_precision_loss, reason = "at most 10,000 of each kind")]
            metrics::gauge!("mainstay_jobs_due", "lane" => waiting.lane.clone()).set(waiting.due as f64);
            metrics::gauge!("mainstay_jobs_oldest_due_seconds", "lane" => waiting.lane).set(waiting.oldest_seconds);
        }
        partitions::measure(worker.app.clone(), worker.work.partitioned).await.ok();
        for measure in worker.work.measures {
            measure(worker.app.clone()).await.ok();
        }
        worker.stop.run_until_cancelled(tokio::time::sleep(add_jitter(INTERVAL))).await;
    }
}
