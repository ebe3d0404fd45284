//! Kinds of operations, which modules declare by [`CarriesOut::operation`](super::CarriesOut::operation).

use std::future::ready;

use mainstay_kernel::{error::Result, queue::Lane, unit_of_work::Work};
use serde::{Serialize, de::DeserializeOwned};

use super::run::Run;
use crate::operations::model::{Failure, Operation};

/// A kind of operation, and the request of one such operation: a struct with named fields, none of them `operation`. The
/// request is the payload of a job, so that it contains ids and never secrets.
///
/// The work is done in steps ([`Run::step`]). Each step is one transaction, which stores its effects and the progress. A
/// worker that dies leaves the steps before, and the next one continues after them.
pub trait OperationKind: Serialize + DeserializeOwned + Send + Sync + Sized + 'static {
    /// The name, in the table `operations`, in the API and of the job: lower-case words joined by `_`, after the name of
    /// the module and a dot, as in `fleet.rename_model`, at most 100 characters. Mainstay's own kinds have no name of a
    /// module.
    const NAME: &'static str;

    /// The scope with which a caller begins, reads and cancels such an operation: that of the method that begins it.
    const SCOPE: &'static str;

    /// A scope with which a caller reads such an operation, too.
    const READ_SCOPE: &'static str = Self::SCOPE;

    /// The number in the enum of the API, which has the kinds from before kinds had names in the API.
    const NUMBER: Option<i16> = None;

    /// The slots of the workers. Work whose duration depends on its size has a lane of its own, so that it delays no
    /// other jobs.
    const LANE: Lane = Lane::SHARED;

    /// The number of attempts, after which the operation fails.
    const MAX_ATTEMPTS: i32 = 5;

    /// The message of an operation whose attempts are used up, one sentence.
    const GIVEN_UP: &'static str = "The work failed repeatedly and was given up; what was done stays done.";

    /// Does the work, from the progress of the [operation](Run::operation) on. A canceled operation fails the next step
    /// with `CONFLICT`, which the work returns.
    ///
    /// # Errors
    /// Any error that prevented a step; the next attempt continues there.
    fn run(&self, run: &mut Run<'_>) -> impl Future<Output = Result<End>> + Send;

    /// Removes what the work needed, in the transaction that ends the operation: successfully, by a failure, or canceled.
    fn ended(_work: &mut Work, _operation: &Operation) -> impl Future<Output = Result<()>> + Send {
        ready(Ok(()))
    }
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The work is complete.
    Succeeded,
    /// The work can't be completed by another attempt.
    Failed(Failure),
    /// The worker stops ([`Run::is_stopping`]), and another one continues.
    Stopped,
}
