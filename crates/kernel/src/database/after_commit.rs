//! What happens in this process after a commit: those who wait for what it added, the workers of jobs and the reader of
//! changes, are told, so that none of them waits for the next poll; and what else was to follow is done.

use std::{
    cell::RefCell,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::task::futures::TaskLocalFuture;

/// What a transaction, or a statement outside one, has added, and what follows it.
#[derive(Default)]
pub(crate) struct Added {
    /// Jobs, or rows, that are due at once.
    pub(super) jobs: bool,
    /// Changes.
    pub(super) changes: bool,
    /// In this order.
    pub(super) actions: Vec<Box<dyn FnOnce() + Send>>,
}

impl Added {
    /// Returns whom to tell, without the actions: for a commit that is only known to be that of this request or of a
    /// duplicate.
    pub(crate) fn hints(&self) -> Self {
        Self { jobs: self.jobs, changes: self.changes, actions: Vec::new() }
    }
}

tokio::task_local! {
    static ADDED: RefCell<Added>;
}

/// Does something once the current transaction is committed, and never if it is not: what can't be taken back. Outside a
/// transaction, it is done after the statements of the current [`autocommit`](super::Database::autocommit), or at once.
pub fn run(action: impl FnOnce() + Send + 'static) {
    let mut action = Some(action);
    note(|additions| {
        additions.actions.extend(action.take().map(|action| Box::new(action) as Box<dyn FnOnce() + Send>))
    });
    if let Some(action) = action {
        action();
    }
}

/// Notes that the current transaction, or the current statement outside one, adds jobs, or [rows](crate::queue::rows), that
/// are due at once: after the commit, the workers of this process look for them.
pub fn wake_workers() {
    note(|additions| additions.jobs = true);
}

/// Notes that the current transaction, or the current statement outside one, adds changes.
pub(crate) fn wake_watches() {
    note(|additions| additions.changes = true);
}

fn note(more: impl FnOnce(&mut Added)) {
    // Outside of both, as on a dedicated connection, what was added waits for a poll.
    ADDED.try_with(|additions| more(&mut additions.borrow_mut())).ok();
}

/// Runs statements, and returns what they added.
pub(crate) fn watch<F: Future>(run: F) -> Watch<F> {
    Watch { run: ADDED.scope(RefCell::default(), run) }
}

pin_project! {
    /// See [`watch`]. Not an async function, which would have the statements' future, of up to 20 KB, three times.
    pub(crate) struct Watch<F> {
        #[pin]
        run: TaskLocalFuture<RefCell<Added>, F>,
    }
}

impl<F: Future> Future for Watch<F> {
    type Output = (F::Output, Added);

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut run = self.project().run;
        let output = ready!(run.as_mut().poll(context));
        let additions = run.take_value().map(RefCell::into_inner).unwrap_or_default();
        Poll::Ready((output, additions))
    }
}
