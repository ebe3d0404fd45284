//! The effects of a commit in this process. Workers of jobs and the reader of changes look for new rows at once instead of
//! at their next poll, cached values are outdated, and further actions run.

use std::{
    any::Any,
    borrow::Cow,
    cell::RefCell,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::task::futures::TaskLocalFuture;
use uuid::Uuid;

/// A value of the application, which this module does not know.
pub(crate) type Listeners = Option<Arc<dyn Any + Send + Sync>>;

/// The rows that a transaction, or a statement outside one, has added, and the actions that follow it.
#[derive(Default)]
pub(crate) struct Added {
    /// The listeners of events that are published meanwhile.
    listeners: Listeners,
    /// Jobs, or rows, that are due at once.
    pub(super) jobs: bool,
    /// Changes: their topics and resources.
    pub(super) changes: Vec<(Cow<'static, str>, Uuid)>,
    /// In this order.
    pub(super) actions: Vec<Box<dyn FnOnce() + Send>>,
}

impl Added {
    /// Returns the notices of the workers and watches, without the actions: for a commit that is only known to be that of this request or of a
    /// duplicate.
    pub(crate) fn hints(&self) -> Self {
        Self { listeners: None, jobs: self.jobs, changes: self.changes.clone(), actions: Vec::new() }
    }
}

// Not an argument: modules add jobs, changes and actions with the connection alone.
tokio::task_local! {
    static ADDED: RefCell<Added>;
}

/// Runs an action once the current transaction is committed, and never if it is not. It is for effects that cannot be
/// undone. Outside a transaction, the action runs after the statements of the current
/// [`autocommit`](super::Database::autocommit), or at once.
pub fn run(action: impl FnOnce() + Send + 'static) {
    let mut action = Some(action);
    record(|additions| {
        additions.actions.extend(action.take().map(|action| Box::new(action) as Box<dyn FnOnce() + Send>))
    });
    if let Some(action) = action {
        action();
    }
}

/// Records that the current transaction, or the current statement outside one, adds jobs, or [rows](crate::queue::rows), that
/// are due at once: after the commit, the workers of this process look for them.
pub fn wake_workers() {
    record(|additions| additions.jobs = true);
}

/// Records that the current transaction, or the current statement outside one, adds changes.
pub(crate) fn add_changes(changes: impl Iterator<Item = (Cow<'static, str>, Uuid)>) {
    record(|additions| additions.changes.extend(changes));
}

fn record(more: impl FnOnce(&mut Added)) {
    // Outside of both, as on a dedicated connection, added rows wait for a poll.
    ADDED.try_with(|additions| more(&mut additions.borrow_mut())).ok();
}

/// Returns the listeners of the database whose transaction, or statement outside one, runs.
pub(crate) fn listeners<T: Any + Send + Sync>() -> Option<Arc<T>> {
    let listeners = ADDED.try_with(|additions| additions.borrow().listeners.clone()).ok()??;
    listeners.downcast().ok()
}

/// Runs statements, and returns their effects.
pub(crate) fn watch<F: Future>(listeners: Listeners, run: F) -> Watch<F> {
    Watch { run: ADDED.scope(RefCell::new(Added { listeners, ..Added::default() }), run) }
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
