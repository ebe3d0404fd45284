//! The interface of a gateway request that settlement uses.

use std::future::Future;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::payments::{
    gateway::{Gateway, Lookup, Outcome},
    settlement::model::{AttemptLease, Failure},
};
use mainstay_kernel::{
    caller::Visibility,
    database::Connection,
    error::{Error, Result},
    id::AccountId,
    unit_of_work::{self, Work},
};

/// How a gateway request is rendered for its caller. Each resource's `convert.rs` implements it, because operations do
/// not depend on messages.
pub trait Respond {
    /// The form in which the caller sees the gateway request.
    type View: Clone + Send + Sync + 'static;

    /// Returns the encoded response, which is stored when the gateway request is settled. Every method that begins this
    /// gateway request has a response that is encoded the same.
    fn respond(view: Self::View) -> Vec<u8>;
}

/// The facts that decide how a gateway request is carried out.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'r> {
    pub id: Uuid,
    /// The gateway that received the request; no other gateway knows it.
    pub gateway: &'r str,
    /// The lease and the attempts.
    pub lease: AttemptLease,
    /// When the gateway request was committed.
    pub created_at: DateTime<Utc>,
    /// The account for which a customer must be created at the gateway before the gateway request can be sent.
    pub missing_customer: Option<AccountId>,
}

/// A committed request to a gateway, carried out by the worker that holds its lease.
pub trait GatewayRequest: Respond + Clone + Send + Sync + Sized + 'static {
    /// The name of the gateway request's id in the metadata of an error.
    const ID: &'static str;
    /// The gateway's result of a successful request.
    type Done: Send + 'static;
    /// The rows that are locked to commit the gateway's answer.
    type Locked: Send;

    /// Locks and returns the gateway request with this id; `None` if it is settled.
    ///
    /// # Errors
    /// `NOT_FOUND`.
    fn lock_unsettled(connection: &Connection, id: Uuid) -> impl Future<Output = Result<Option<Self>>> + Send;

    /// Returns the facts that a worker needs.
    fn facts(&self) -> Facts<'_>;

    /// Returns the form in which the caller sees it.
    fn view(&self) -> Self::View;

    /// Reads the present state of the gateway request for a caller.
    ///
    /// # Errors
    /// `NOT_FOUND`, also if the caller may not see it.
    fn get(
        connection: &Connection,
        visibility: Visibility,
        id: Uuid,
    ) -> impl Future<Output = Result<Self::View>> + Send;

    /// Returns the reason of the failure, if the gateway request failed.
    fn failure(view: &Self::View) -> Option<&Failure>;

    /// Makes the gateway request due at `at`, or at once, unless it is settled by then.
    fn set_due(
        connection: &mut Connection,
        id: Uuid,
        at: Option<DateTime<Utc>>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Stores the lease and the attempts, while the row is locked, together with the time at which the gateway request
    /// is due.
    fn store_lease(self, connection: &mut Connection, lease: AttemptLease)
    -> impl Future<Output = Result<Self>> + Send;

    /// Stores the gateway's id for the account's customer, while the row is locked.
    fn attach_customer(
        self,
        _connection: &mut Connection,
        _customer: &str,
        _now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Self>> + Send {
        std::future::ready(Ok(self))
    }

    /// Sends the request to the gateway, under the key of this attempt. `is_repeated` says that an earlier worker may
    /// have sent it under this key.
    fn send(&self, gateway: &dyn Gateway, is_repeated: bool) -> impl Future<Output = Outcome<Self::Done>> + Send;

    /// Looks up at the gateway whether the request was carried out, under any key.
    fn find(&self, gateway: &dyn Gateway) -> impl Future<Output = Lookup<Self::Done>> + Send;

    /// Does the same in a list that does not lag, before another attempt begins. A refund needs none, because its
    /// look-up is such a list.
    fn find_listed(&self, _gateway: &dyn Gateway) -> impl Future<Output = Lookup<Self::Done>> + Send {
        std::future::ready(Lookup::Nothing)
    }

    /// Locks the rows that [`settle`](Self::settle) changes, and returns their current state.
    fn lock(&self, connection: &Connection) -> impl Future<Output = Result<Self::Locked>> + Send;

    /// Stores the gateway's answer in the [locked](Self::lock) rows, unless the gateway request is settled or, for a
    /// failure, a later attempt has started. Returns the caller's view if this call settled the gateway request; the
    /// view is then [concluded](conclude).
    fn settle(
        &self,
        work: &mut Work,
        row: Self::Locked,
        outcome: Result<Self::Done, Failure>,
    ) -> impl Future<Output = Result<Option<Self::View>>> + Send;
}

/// Returns the error that a caller receives for a failed gateway request.
pub(crate) fn failure_error<R: GatewayRequest>(id: Uuid, view: &R::View, is_staff: bool) -> Option<Error> {
    R::failure(view).map(|failure| failure.error(is_staff).with(R::ID, id.to_string()))
}

/// Stores the response to the requests that began a gateway request, within the transaction that settles it. A repeated
/// request gets this response, whatever happens to the resource later.
pub(crate) async fn conclude<R: GatewayRequest>(connection: &Connection, id: Uuid, settled: &R::View) -> Result<()> {
    let respond = |is_staff| match failure_error::<R>(id, settled, is_staff) {
        None => Ok(R::respond(settled.clone())),
        Some(error) => Err(error),
    };
    unit_of_work::conclude(connection, id, respond).await
}
