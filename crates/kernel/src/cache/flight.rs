//! Coalesces concurrent reads of a key (singleflight): one read runs, and all callers in the meantime share its result.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::FutureExt as _;
use tokio::sync::watch;

use super::{Entry, Origin};
use crate::error::{Error, ReasonRef, Result};

type Outcome = Result<(Arc<Entry>, Origin), Failure>;
type Pending = Arc<Mutex<HashMap<Arc<str>, watch::Receiver<Option<Outcome>>>>>;

/// The reads that are under way, by key.
#[derive(Debug, Default)]
pub(super) struct Flights(Pending);

/// Why a read failed, for each of those who waited for it.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    reason: ReasonRef,
    message: String,
    detail: String,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Self { reason: error.reason(), message: error.message().to_owned(), detail: error.detail() }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::with_message(failure.reason, failure.message).caused_by(anyhow::anyhow!("{}", failure.detail))
    }
}

/// Removes a read from the pending ones when it ends, even if it panics.
struct RemoveOnDrop {
    pending: Pending,
    name: Arc<str>,
}

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        lock(&self.pending).remove(&self.name);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Flights {
    /// Waits for the read of this key that is under way, or begins one: `load`, unless `recheck` finds that one has just
    /// ended. The read is a task of its own: it goes on if its readers leave.
    pub(super) async fn join<F>(
        &self,
        name: &Arc<str>,
        recheck: impl FnOnce() -> Option<(Arc<Entry>, Origin)>,
        load: impl FnOnce() -> F,
    ) -> Result<(Arc<Entry>, Origin)>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let (mut receiver, own_read) = {
            let mut pending = lock(&self.0);
            if let Some(receiver) = pending.get(name) {
                (receiver.clone(), None)
            } else if let Some(cached) = recheck() {
                return Ok(cached);
            } else {
                let (sender, receiver) = watch::channel(None);
                pending.insert(name.clone(), receiver.clone());
                (receiver, Some((sender, RemoveOnDrop { pending: self.0.clone(), name: name.clone() })))
            }
        };
        let is_first = own_read.is_some();
        if let Some((sender, remove_on_drop)) = own_read {
            tokio::spawn(load().map(move |outcome| {
                drop(remove_on_drop);
                sender.send_replace(Some(outcome));
            }));
        }
        let outcome = receiver.wait_for(Option::is_some).await.map(|outcome| outcome.clone());
        match outcome {
            Ok(Some(Ok((entry, origin)))) => Ok((entry, if is_first { origin } else { Origin::Coalesced })),
            Ok(Some(Err(failure))) => Err(failure.into()),
            Ok(None) | Err(_) => Err(Error::internal(anyhow::anyhow!("the read of a cached value panicked"))),
        }
    }
}
