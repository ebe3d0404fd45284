//! What settlement needs to know of a gateway request.

use std::future::Future;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::payments::{
    gateway::{Found, Gateway, Outcome},
    settlement::model::{AttemptLease, Failure},
};
use mainstay_kernel::{database::Connection, error::Result, id::AccountId, queue::Job};

/// A committed request to a gateway, carried out by the worker that holds its lease.
pub trait GatewayRequest: Clone + Send + Sync + Sized + 'static {
    /// The name of its id in the metadata of an error.
    const ID: &'static str;
    /// The form in which the caller sees it.
    type View: Clone + Send + 'static;
    /// What the gateway returns once it is done.
    type Done: Send + 'static;

    /// Locks and returns the gateway request with this id; `None` if it is settled.
    ///
    /// # Errors
    /// `NOT_FOUND`.
    fn lock_unsettled(connection: &mut Connection, id: Uuid) -> impl Future<Output = Result<Option<Self>>> + Send;

    /// The job that settles it if the caller's process does not.
    type Job: Job;

    /// Returns the job.
    fn job(id: Uuid) -> Self::Job;

    /// The id.
    fn id(&self) -> Uuid;

    /// The gateway that it belongs to; no other gateway knows it.
    fn gateway(&self) -> &str;

    /// The lease and the attempts.
    fn lease(&self) -> AttemptLease;

    /// When it was committed.
    fn created_at(&self) -> DateTime<Utc>;

    /// Returns the form in which the caller sees it.
    fn view(&self) -> Self::View;

    /// Why it failed, if it did.
    fn failure(view: &Self::View) -> Option<&Failure>;

    /// Stores the lease and the attempts, while the row is locked.
    ///
    /// # Errors
    /// Any database error.
    fn store_lease(self, connection: &mut Connection, lease: AttemptLease)
    -> impl Future<Output = Result<Self>> + Send;

    /// The account for which the gateway needs a customer before the gateway request can be sent, if there is none yet.
    fn missing_customer(&self) -> Option<AccountId> {
        None
    }

    /// Stores the gateway's id for the account's customer, while the row is locked.
    ///
    /// # Errors
    /// Any database error.
    fn attach_customer(
        self,
        _connection: &mut Connection,
        _customer: &str,
        _now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Self>> + Send {
        std::future::ready(Ok(self))
    }

    /// Sends the request to the gateway, under the key of this attempt.
    fn send(&self, gateway: &dyn Gateway) -> impl Future<Output = Outcome<Self::Done>> + Send;

    /// Looks up at the gateway whether it was done, under any key.
    fn find(&self, gateway: &dyn Gateway) -> impl Future<Output = Found<Self::Done>> + Send;

    /// Commits the gateway's answer, unless the gateway request is settled or, for a failure, a later attempt has
    /// started.
    ///
    /// # Errors
    /// Any database error.
    fn commit(
        &self,
        connection: &mut Connection,
        outcome: Result<Self::Done, Failure>,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<()>> + Send;
}
