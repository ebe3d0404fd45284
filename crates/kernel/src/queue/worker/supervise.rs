//! Supervision of loops: restarts a loop after a panic.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::alert::{Alerts, LOG_INTERVAL};

/// The delay before a loop is restarted.
const RESTART_DELAY: Duration = Duration::from_secs(1);

/// Runs a loop in a separate task until it returns. A panic raises an alert and restarts the loop, unless `stop` is
/// cancelled. The alert is resolved once the loop has run for a while.
pub(super) async fn supervise<F>(
    name: &'static str,
    alerts: Alerts,
    stop: CancellationToken,
    run: impl Fn() -> F + Send,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut has_panicked = false;
    loop {
        let mut task = tokio::spawn(run());
        let outcome = match has_panicked {
            false => task.await,
            true => match tokio::time::timeout(LOG_INTERVAL, &mut task).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    alerts.resolve("jobs", "loop_panicked", name);
                    task.await
                }
            },
        };
        let Err(error) = outcome else { return };
        has_panicked = true;
        alerts.raise("jobs", "loop_panicked", name, &error.to_string());
        if stop.run_until_cancelled(tokio::time::sleep(RESTART_DELAY)).await.is_none() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_panics_starts_again() {
        let runs = Arc::<AtomicU32>::default();
        let count = runs.clone();
        let run = move || {
            let count = count.clone();
            async move { assert!(count.fetch_add(1, Ordering::SeqCst) >= 2, "not yet") }
        };
        supervise("test", Alerts::default(), CancellationToken::new(), run).await;
        assert_eq!(runs.load(Ordering::SeqCst), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_panics_during_the_shutdown_ends() {
        let stop = CancellationToken::new();
        stop.cancel();
        supervise("test", Alerts::default(), stop, || async { panic!("always") }).await;
    }
}
