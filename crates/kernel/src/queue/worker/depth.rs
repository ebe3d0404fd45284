//! The loop that measures the queue.

use std::{sync::Arc, time::Duration};

use super::Worker;
use crate::{
    database::Connection,
    queue::{outage::jittered, store as queue},
};

/// The interval of measurements.
const INTERVAL: Duration = Duration::from_secs(15);
/// Due jobs of a lane are counted up to this number.
const LIMIT: i32 = 10_000;

/// Measures the queue at intervals until the worker is stopped.
pub(super) async fn keep(worker: Arc<Worker>) {
    while !worker.stop.is_cancelled() {
        let lanes = worker.slots.names();
        let rows = worker.rows;
        let read = async move |connection: &mut Connection| {
            let mut depths = queue::depths(connection, &lanes, LIMIT).await?;
            for rows in rows {
                let due = rows.depth(connection, LIMIT).await?;
                for depth in depths.iter_mut().filter(|depth| depth.lane == rows.lane.name) {
                    depth.jobs += due.rows;
                    depth.oldest_seconds = depth.oldest_seconds.max(due.oldest_seconds);
                }
            }
            Ok(depths)
        };
        // An outage is reported by the loops that work.
        for depth in worker.app.database.autocommit(read).await.unwrap_or_default() {
            #[expect(clippy::cast_precision_loss, reason = "at most 10,000 of each kind")]
            metrics::gauge!("mainstay_jobs_due", "lane" => depth.lane.clone()).set(depth.jobs as f64);
            metrics::gauge!("mainstay_jobs_oldest_due_seconds", "lane" => depth.lane).set(depth.oldest_seconds);
        }
        worker.stop.run_until_cancelled(tokio::time::sleep(jittered(INTERVAL))).await;
    }
}
