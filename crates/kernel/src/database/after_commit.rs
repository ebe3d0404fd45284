//! Tells the workers of this process, after a commit, that it added jobs, so that none of them waits for the next poll.

use std::cell::Cell;

tokio::task_local! {
    static ADDED_JOBS: Cell<bool>;
}

/// Notes that the current transaction, or the current statement outside one, adds jobs that are due at once.
pub(crate) fn wake_workers() {
    // Outside of both, as on a dedicated connection, the jobs wait for a poll.
    ADDED_JOBS.try_with(|added| added.set(true)).ok();
}

/// Runs statements, and returns whether they added jobs.
pub(super) async fn watch<T>(run: impl Future<Output = T>) -> (T, bool) {
    ADDED_JOBS
        .scope(Cell::new(false), async move {
            let output = run.await;
            (output, ADDED_JOBS.with(Cell::get))
        })
        .await
}
