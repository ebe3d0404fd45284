//! Free space of the disks that this process writes to, as metrics.

use std::{path::PathBuf, time::Duration};

use metrics::gauge;
use nix::sys::statvfs::statvfs;

const INTERVAL: Duration = Duration::from_secs(15);

/// Measures the disk that holds `path` every 15 s while the runtime exists. `disk` is its name in metrics. It must be
/// called within the runtime, after the metrics recorder is installed.
pub fn watch(disk: &'static str, path: PathBuf) {
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(INTERVAL);
        loop {
            ticks.tick().await;
            let path = path.clone();
            // A network file system may hang. It then blocks one thread, and the gauges keep their values.
            if let Ok(Ok(usage)) = tokio::task::spawn_blocking(move || statvfs(&path)).await {
                #[expect(clippy::cast_precision_loss, reason = "a page more or less")]
                let bytes = |blocks| blocks as f64 * usage.fragment_size() as f64;
                // The space that is available to unprivileged users, as servers run.
                gauge!("mainstay_disk_available_bytes", "disk" => disk).set(bytes(usage.blocks_available()));
                gauge!("mainstay_disk_size_bytes", "disk" => disk).set(bytes(usage.blocks()));
            }
        }
    });
}
