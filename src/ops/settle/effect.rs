//! What can be carried out.

use std::future::Future;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    domain::effect::{Drive, Failure},
    error::Result,
    gateway::{Found, Gateway, Outcome},
    id::AccountId,
    jobs::Settle,
    store::{Connection, queue},
};

/// Something outside that was committed to, in the hands of whoever holds this.
pub trait Effect: Clone + Send + Sync + Sized + 'static {
    /// Those that are not settled, each of which has a job.
    const WAITING: queue::Waiting;
    /// What its caller is shown of it.
    type Shown: Clone + Send + 'static;
    /// What the gateway tells of it once it is done.
    type Done: Send + 'static;

    /// The effect of this id, held until the transaction ends; `None` when it is settled.
    ///
    /// # Errors
    /// `NOT_FOUND`.
    fn held(connection: &mut Connection, id: Uuid) -> impl Future<Output = Result<Option<Self>>> + Send;

    /// The job that finishes it if nobody else does.
    fn job(id: Uuid) -> Settle;

    /// Its id.
    fn id(&self) -> Uuid;

    /// The gateway it was committed to at; no other one knows anything of it.
    fn gateway(&self) -> &str;

    /// Who works on it.
    fn drive(&self) -> Drive;

    /// When it was committed to.
    fn created_at(&self) -> DateTime<Utc>;

    /// What its caller is shown of it.
    fn shown(&self) -> Self::Shown;

    /// Why it failed, if it did.
    fn failure(shown: &Self::Shown) -> Option<&Failure>;

    /// Stores who works on it, while it is held.
    ///
    /// # Errors
    /// What Postgres answers.
    fn store_drive(self, connection: &mut Connection, drive: Drive) -> impl Future<Output = Result<Self>> + Send;

    /// The account that the gateway has to know as a customer before it is asked, and does not.
    fn stranger(&self) -> Option<AccountId> {
        None
    }

    /// Stores what the gateway knows the account by, while this is held.
    ///
    /// # Errors
    /// What Postgres answers.
    fn introduce(
        self,
        _connection: &mut Connection,
        _customer: &str,
        _now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Self>> + Send {
        std::future::ready(Ok(self))
    }

    /// Asks the gateway, under the key of this attempt.
    fn ask(&self, gateway: &dyn Gateway) -> impl Future<Output = Outcome<Self::Done>> + Send;

    /// Looks at the gateway whether it was done, under whatever key.
    fn find(&self, gateway: &dyn Gateway) -> impl Future<Output = Found<Self::Done>> + Send;

    /// Commits the gateway's word, unless it is settled or, for a failure, no longer the attempt that was asked.
    ///
    /// # Errors
    /// What Postgres answers.
    fn commit(
        &self,
        connection: &mut Connection,
        word: Result<Self::Done, Failure>,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<()>> + Send;
}
