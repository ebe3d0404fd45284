//! Polling for a condition.

use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(120);
const INTERVAL: Duration = Duration::from_millis(20);

/// Waits until a condition holds, and fails after two minutes. `what` states the condition.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let since = Instant::now();
    while !holds().await {
        assert!(since.elapsed() < LIMIT, "timed out waiting until {what}");
        tokio::time::sleep(INTERVAL).await;
    }
}
