//! The steps of an operation that a worker carries out.

use futures_util::future::BoxFuture;
use mainstay_kernel::{
    app::App,
    error::{Error, Result},
    unit_of_work::Work,
};
use tokio_util::sync::CancellationToken;

use super::update;
use crate::operations::model::{Operation, Progress};

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

    /// Does a step: stores what `act` does, and the progress that it returns, in one transaction.
    ///
    /// # Errors
    /// Any error of `act`; `CONFLICT` if the operation was canceled, or another worker, which may have been presumed dead,
    /// stored a step meanwhile. This step is then not stored.
    pub async fn step<F>(&mut self, act: F) -> Result<()>
    where
        F: for<'c> FnOnce(&'c mut Work, Progress) -> BoxFuture<'c, Result<Progress>> + Send,
    {
        let (current, now) = (self.operation.clone(), self.app.clock.now());
        let transaction = self.app.database.transaction(async move |work: &mut Work| {
            let progress = act(work, current.progress).await?;
            // The operation is updated last, because another worker would wait for this row lock. The update fails if the
            // other worker was faster.
            let next = current.run(progress, now)?;
            update(work.connection().await?, &next).await?;
            Ok::<_, Error>(next)
        });
        self.operation = transaction.await?;
        Ok(())
    }
}
