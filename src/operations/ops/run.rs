//! The steps of an operation that a worker carries out.

use std::{
    future::ready,
    pin::pin,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use futures_util::{Stream, StreamExt as _, TryStreamExt as _, future::BoxFuture};
use mainstay_kernel::{
    app::App,
    error::{Error, Result},
    fault,
    unit_of_work::Work,
};
use tokio::{sync::oneshot, time::timeout};
use tokio_util::sync::CancellationToken;

use super::update;
use crate::operations::model::{Operation, Progress};

/// The maximum time for which a transaction that began early waits, with its locks, for the commit of the step before. The limit
/// ends a deadlock of two operations. Postgres can't detect it, because one of the waits is in this process.
const MAX_EARLY: Duration = Duration::from_secs(10);

/// An operation that a worker carries out.
#[derive(Debug)]
pub struct Run<'r> {
    pub(super) app: &'r App,
    pub(super) stop: &'r CancellationToken,
    pub(super) operation: Operation,
}

impl<'r> Run<'r> {
    /// Returns the application.
    pub fn app(&self) -> &'r App {
        self.app
    }

    /// Returns the operation, with the progress so far.
    pub fn operation(&self) -> &Operation {
        &self.operation
    }

    /// Returns whether the worker is stopping, so that only a short time remains.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Does a step: stores the changes of `act`, and the rows that `act` adds to the progress, in one transaction.
    ///
    /// # Errors
    /// Any error of `act`; `CONFLICT` if the operation was canceled, or another worker, which may have been presumed dead,
    /// stored a step meanwhile. This step is then not stored.
    pub async fn step<F>(&mut self, act: F) -> Result<()>
    where
        F: for<'c> FnOnce(&'c mut Work) -> BoxFuture<'c, Result<Progress>> + Send,
    {
        let (app, current) = (self.app, self.operation.clone());
        let transaction = app.database.transaction(async move |work: &mut Work| {
            let added = act(work).await?;
            advance(app, work, current, added).await
        });
        self.operation = transaction.await?;
        Ok(())
    }

    /// Does steps in their order. Each transaction stores the changes of a step, and the rows that the step adds to the progress.
    /// The transaction of a step begins beside that of the step before and commits after it, so two connections are in use. A
    /// step that waits longer than ten seconds is rolled back and done again. The method ends early when the worker is stopping,
    /// and returns whether all steps are done.
    ///
    /// # Errors
    /// Those of [`Self::step`]. Neither the failed step nor a later one is then stored.
    pub async fn overlap<S>(&mut self, steps: impl Stream<Item = S>) -> Result<bool>
    where
        S: for<'c> Fn(&'c mut Work) -> BoxFuture<'c, Result<Progress>>,
    {
        let (app, stop) = (self.app, self.stop);
        let (first, mut last) = oneshot::channel();
        first.send(self.operation.clone()).ok();
        let is_stopped = AtomicBool::new(false);
        let goes_on = |_: &S| {
            is_stopped.store(stop.is_cancelled(), Relaxed);
            ready(!is_stopped.load(Relaxed))
        };
        let steps = steps.take_while(goes_on).map(|act| {
            let (stored, turn) = oneshot::channel();
            let before = std::mem::replace(&mut last, turn);
            async move {
                let operation = in_turn(app, act, before).await?;
                stored.send(operation.clone()).ok();
                Ok::<_, Error>(operation)
            }
        });
        let mut steps = pin!(steps.buffered(2));
        while let Some(operation) = steps.try_next().await? {
            self.operation = operation;
            fault::point("operation.step")?;
        }
        Ok(!is_stopped.load(Relaxed))
    }
}

/// Stores a step after the step before, which sends the operation as it left it. The transaction is open during the wait, for at
/// most [`MAX_EARLY`]; then the step is rolled back, and done again in its turn.
async fn in_turn<S>(app: &App, act: S, mut before: oneshot::Receiver<Operation>) -> Result<Operation>
where
    S: for<'c> Fn(&'c mut Work) -> BoxFuture<'c, Result<Progress>>,
{
    let mut is_too_early = false;
    let early = app.database.transaction(async |work: &mut Work| {
        let added = act(work).await?;
        let Ok(current) = timeout(MAX_EARLY, &mut before).await else {
            is_too_early = true;
            return Err(Error::internal(anyhow::anyhow!("the step before did not end within {MAX_EARLY:?}")));
        };
        advance(app, work, current.map_err(Error::internal)?, added).await
    });
    let early = early.await;
    if !is_too_early {
        return early;
    }
    let current = before.await.map_err(Error::internal)?;
    let late = app.database.transaction(async |work: &mut Work| {
        let added = act(work).await?;
        advance(app, work, current, added).await
    });
    late.await
}

/// Stores the progress of a step. The operation is updated last, because another worker would wait for this row lock. The
/// update fails if the other worker was faster.
async fn advance(app: &App, work: &mut Work, current: Operation, added: Progress) -> Result<Operation> {
    let progress = current.progress + added;
    let next = current.run(progress, app.clock.now())?;
    update(work.connection().await?, &next).await?;
    Ok(next)
}
