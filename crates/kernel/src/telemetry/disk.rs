//! How much room the disks have that this process writes to.

use std::{path::PathBuf, time::Duration};

use metrics::gauge;
use nix::sys::statvfs::statvfs;

/// The interval of measurements.
const INTERVAL: Duration = Duration::from_secs(15);

/// Measures the disk that holds `path`, every 15 s for as long as the runtime lasts; `disk` is its name in metrics. To be
/// called within the runtime, once there is a recorder.
pub fn watch(disk: &'static str, path: PathBuf) {
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(INTERVAL);
        loop {
            ticks.tick().await;
            let path = path.clone();
            // A file system of the network may hang: then one thread does, and the gauges keep their values.
            if let Ok(Ok(usage)) = tokio::task::spawn_blocking(move || statvfs(&path)).await {
                #[expect(clippy::cast_precision_loss, reason = "a page more or less")]
                let bytes = |blocks| blocks as f64 * usage.fragment_size() as f64;
                // What is left for other users than root, as servers are.
                gauge!("mainstay_disk_available_bytes", "disk" => disk).set(bytes(usage.blocks_available()));
                gauge!("mainstay_disk_size_bytes", "disk" => disk).set(bytes(usage.blocks()));
            }
        }
    });
}
