//! Tells who waits in this process, after a commit, what it added: the workers of jobs, and the reader of changes. So none
//! of them waits for the next poll.

use std::cell::Cell;

/// What a transaction, or a statement outside one, has added.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Added {
    /// Jobs that are due at once.
    pub(super) jobs: bool,
    /// Changes.
    pub(super) changes: bool,
}

tokio::task_local! {
    static ADDED: Cell<Added>;
}

/// Notes that the current transaction, or the current statement outside one, adds jobs that are due at once.
pub(crate) fn wake_workers() {
    note(|added| Added { jobs: true, ..added });
}

/// Notes that the current transaction, or the current statement outside one, adds changes.
pub(crate) fn wake_watches() {
    note(|added| Added { changes: true, ..added });
}

fn note(more: impl FnOnce(Added) -> Added) {
    // Outside of both, as on a dedicated connection, what was added waits for a poll.
    ADDED.try_with(|added| added.set(more(added.get()))).ok();
}

/// Runs statements, and returns what they added.
pub(super) async fn watch<T>(run: impl Future<Output = T>) -> (T, Added) {
    ADDED
        .scope(Cell::default(), async move {
            let output = run.await;
            (output, ADDED.with(Cell::get))
        })
        .await
}
