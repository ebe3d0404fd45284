//! The loop that measures the queue, the partitions, and the gauges of modules.

use std::{sync::Arc, time::Duration};

use super::Worker;
use crate::{
    partitions,
    queue::{
        depth::{self, LaneDepth, UNKNOWN},
        outage::add_jitter,
    },
};

/// The interval of measurements.
const INTERVAL: Duration = Duration::from_secs(15);

/// Measures at intervals until the worker is stopped.
pub(super) async fn run_loop(worker: Arc<Worker>) {
    while !worker.stop.is_cancelled() {
        // The take and bookkeeping loops report an outage.
        let mut depths = depth::by_lane(&worker.app, worker.work.jobs, worker.work.rows).await.unwrap_or_default();
        // A gauge keeps its value, so that an empty lane must be set to zero.
        if !depths.is_empty() && !depths.iter().any(|depth| depth.lane == UNKNOWN) {
            depths.push(LaneDepth::empty(UNKNOWN));
        }
        for depth in depths {
            #[expect(clippy::cast_precision_loss, reason = "at most 10,000 of each kind")]
            metrics::gauge!("mainstay_jobs_due", "lane" => depth.lane.clone()).set(depth.due as f64);
            metrics::gauge!("mainstay_jobs_oldest_due_seconds", "lane" => depth.lane).set(depth.oldest_seconds);
        }
        partitions::measure(worker.app.clone(), worker.work.partitioned).await.ok();
        for measure in worker.work.measures {
            measure(worker.app.clone()).await.ok();
        }
        worker.stop.run_until_cancelled(tokio::time::sleep(add_jitter(INTERVAL))).await;
    }
}
