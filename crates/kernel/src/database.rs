//! Postgres: connections, transactions, migrations, and functions for the stores of all modules. The files below use diesel,
//! and neither HTTP nor gRPC; their functions take a connection.
//!
//! A connection is obtained in four ways. [`Database::read`] runs short reads on shared connections; [`Database::query`] lends
//! a connection for other reads, and [`Database::autocommit`] for single statements; [`Database::transaction`] runs a
//! [unit of work](crate::unit_of_work::Work). The last three handle a disconnected caller: the running statement is cancelled,
//! an open transaction is rolled back, and the connection returns to the pool clean or is closed.
//!
//! If the policy of a method permits it, its reads use a replica (`replica`).
//!
//! Postgres restricts the lists and the units of work of a caller to the caller's account ([`Reach`]).

pub mod after_commit;
pub mod attempt_limit;
pub mod condition;
pub(crate) mod connect;
pub mod convert;
pub mod count;
pub mod idempotency;
pub mod integrity;
pub mod migrations;
mod node;
pub mod optional_column;
pub(crate) mod outdated;
pub mod pipeline;
mod position;
mod reach;
mod replica;
#[expect(missing_docs, reason = "the columns are documented in migrations/")]
pub mod schema;
mod search;
pub mod seek;
mod shared;
pub mod statement;
pub mod time;
pub mod visibility;

use std::{any::Any, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{sync::Notify, time::timeout};

use after_commit::{Added, Listeners, Watch};
pub use connect::ConnectFailure;
pub(crate) use node::Lease;
use node::Node;
use outdated::Outdated;
pub(crate) use position::Position;
pub use reach::Reach;
pub(crate) use replica::{Replicas, with_replica};

use crate::{
    clock::Clock,
    config,
    error::{Error, Reason, Result},
};

/// The maximum wait for the position of a completed commit.
const POSITION_TIMEOUT: Duration = Duration::from_millis(300);

/// A connection to Postgres.
pub type Connection = AsyncPgConnection;

/// The connections to Postgres: to the primary, and to replicas, if configured.
#[derive(Clone)]
pub struct Database {
    primary: Node,
    replicas: Option<Arc<Replicas>>,
    clock: Clock,
    jobs_added: Arc<Notify>,
    changes_added: Arc<Notify>,
    outdated: Arc<Outdated>,
    listeners: Listeners,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("state", &self.primary.pool().state()).finish()
    }
}

impl Database {
    /// Makes a pool of connections to `url`. The pool connects at its first use, so that a server can start while Postgres is
    /// unavailable. `name` is the name of the connections in `pg_stat_activity`.
    ///
    /// # Errors
    /// When the URL is invalid.
    pub fn new(url: &SecretString, name: &str, config: &config::Database) -> anyhow::Result<Self> {
        let primary = Node::primary(url.expose_secret(), name, config)?;
        let (replicas, clock, jobs_added, changes_added, outdated, listeners) = Default::default();
        Ok(Self { primary, replicas, clock, jobs_added, changes_added, outdated, listeners })
    }

    pub(crate) fn with_clock(self, clock: &Clock) -> Self {
        Self { clock: clock.clone(), ..self }
    }

    /// Sets the listeners of events that are published in transactions.
    pub(crate) fn with_listeners(self, listeners: Arc<dyn Any + Send + Sync>) -> Self {
        Self { listeners: Some(listeners), ..self }
    }

    /// Returns the listeners of events, by their type.
    pub(crate) fn listeners<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.listeners.clone()?.downcast().ok()
    }

    /// Runs statements, and returns their effects in this process.
    pub(crate) fn watch<F: Future>(&self, run: F) -> Watch<F> {
        after_commit::watch(self.listeners.clone(), run)
    }

    /// Adds the replicas, which are read once their positions are [watched](Replicas::watch).
    /// Errors: when a URL is invalid.
    pub(crate) fn with_replicas(mut self, name: &str, config: &config::Config) -> anyhow::Result<Self> {
        self.replicas = Replicas::new(&self.primary, name, config)?.map(Arc::new);
        Ok(self)
    }

    /// Ends the log lines about lost connections to the primary, before this process stops its private Postgres.
    pub fn expect_loss(&self) {
        self.primary.connector().expect_loss();
    }

    pub(crate) fn replicas(&self) -> Option<&Arc<Replicas>> {
        self.replicas.as_ref()
    }

    /// Returns a position that covers every reported commit; `None` if the primary does not respond in time.
    pub(crate) async fn position(&self) -> Option<Position> {
        timeout(POSITION_TIMEOUT, self.primary.read(position::of_primary)).await.ok()?.ok()
    }

    /// Runs a read of a few rows by their keys on a shared connection. `run` must be read-only, because it runs again, on a
    /// connection of the pool, if the shared one breaks or does not respond within 500 ms.
    ///
    /// On the primary, a read sees all earlier commits.
    pub async fn read<T>(&self, run: impl AsyncFnOnce(&Connection) -> Result<T> + Clone) -> Result<T> {
        if let Some(replica) = self.replica()
            && let Some(value) = replica.read(run.clone()).await
        {
            return Ok(value);
        }
        self.primary.read(run).await
    }

    /// Lends a connection for longer reads, such as lists and sums. `run` must be read-only, because it runs again, on the
    /// primary, if a replica does not respond. If they reach one account, the account is sent with the first of them, and remains
    /// that of the session.
    pub async fn query<T>(&self, reach: Reach, run: impl AsyncFnOnce(&Connection) -> Result<T> + Clone) -> Result<T> {
        if let Some(replica) = self.replica()
            && let Some(value) = replica.query(reach, run.clone()).await
        {
            return Ok(value);
        }
        self.primary.query(reach, run).await
    }

    /// Returns the replica of the current request, if it belongs to this database.
    fn replica(&self) -> Option<Arc<replica::Replica>> {
        self.replicas.as_ref().and_then(|_| replica::of_request())
    }

    /// Lends a connection for single statements, which reach the rows of all accounts: of sign-ins, jobs and commands. A call on
    /// behalf of an account has [`query`](Self::query) and its unit of work.
    ///
    /// # Errors
    /// `UNAVAILABLE` when no connection is available in time, and any error of `run`.
    pub async fn autocommit<T>(&self, run: impl AsyncFnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        let (result, additions) = self.watch(self.primary.lend(run)).await;
        self.wake(additions);
        result
    }

    /// As [`autocommit`](Self::autocommit), for the write of a response. It is not cancelled if its caller leaves, because other
    /// sessions would see it before a synchronous standby has it.
    pub(crate) async fn store<T>(&self, run: impl AsyncFnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        self.primary.write(run).await
    }

    /// Borrows a connection to the primary for a transaction.
    pub(crate) async fn lease(&self) -> Result<Lease> {
        self.primary.lease().await
    }

    /// Returns the time by the clock of the application.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Applies the effects of a commit in this process.
    pub(crate) fn wake(&self, additions: Added) {
        if additions.jobs {
            self.jobs_added.notify_one();
        }
        if !additions.changes.is_empty() {
            additions.changes.iter().for_each(|(topic, id)| self.outdated.record(topic, *id));
            self.changes_added.notify_one();
        }
        additions.actions.into_iter().for_each(|action| action());
    }

    /// Returns which cached values the committed changes have outdated.
    pub(crate) fn outdated(&self) -> &Arc<Outdated> {
        &self.outdated
    }

    /// Is notified after each commit of this process that added changes.
    pub(crate) fn changes_added(&self) -> &Notify {
        &self.changes_added
    }

    /// Is notified after each commit of this process that added jobs.
    pub(crate) fn jobs_added(&self) -> &Notify {
        &self.jobs_added
    }

    /// Opens a connection outside the pool, for work that must not return it to the pool.
    ///
    /// # Errors
    /// When Postgres is unavailable or refuses the connection.
    pub async fn dedicated(&self) -> Result<Connection, ConnectFailure> {
        self.primary.connector().clone().connect().await
    }

    /// Returns the name of the database in the URL.
    pub fn name(&self) -> &str {
        self.primary.connector().database()
    }

    /// Returns the numbers of connections and of idle connections to the primary.
    pub fn connections(&self) -> (u32, u32) {
        let state = self.primary.pool().state();
        (state.connections, state.idle_connections)
    }

    /// Returns the waits of this process for connections to the primary.
    pub(crate) fn waits(&self) -> Waits {
        let statistics = self.primary.pool().state().statistics;
        Waits { count: statistics.get_waited + statistics.get_timed_out, total: statistics.get_wait_time }
    }
}

/// The number of waits, such as those for a connection, and the sum of their durations.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Waits {
    pub(crate) count: u64,
    pub(crate) total: Duration,
}

impl Waits {
    /// Returns the average of the waits since an earlier measurement.
    pub(crate) fn average_since(&self, earlier: &Self) -> Duration {
        let count = u32::try_from(self.count - earlier.count).unwrap_or(u32::MAX);
        self.total.saturating_sub(earlier.total).checked_div(count).unwrap_or_default()
    }
}

/// Runs a statement that begins or ends a transaction. Diesel's transaction manager cannot send it together with others.
pub(crate) async fn execute(mut connection: &Connection, statement: &str) -> Result<()> {
    Ok(connection.batch_execute(statement).await?)
}

impl From<DieselError> for Error {
    fn from(error: DieselError) -> Self {
        let cause = match &error {
            // The connection broke during COMMIT, so that the ROLLBACK failed, too; the first error is the cause.
            DieselError::RollbackErrorOnCommit { commit_error, .. } => commit_error,
            error => error,
        };
        let reason = match cause {
            DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => Reason::Conflict,
            // A broken connection is reported as a command that could not be sent.
            DieselError::DatabaseError(
                DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
                _,
            ) => Reason::Unavailable,
            DieselError::DatabaseError(DatabaseErrorKind::Unknown, info) => unclassified(info.message()),
            // A read-only server, such as a demoted primary: another server accepts writes.
            DieselError::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _) => Reason::Unavailable,
            DieselError::BrokenTransactionManager => Reason::Unavailable,
            _ => Reason::InternalError,
        };
        match reason {
            Reason::Unavailable => Self::unavailable(error),
            reason => Self::new(reason).caused_by(error),
        }
    }
}

/// Returns the reason for an error that diesel does not classify, by its SQLSTATE (PostgreSQL manual, appendix A).
fn unclassified(message: &str) -> Reason {
    match connect::sqlstate::of(message) {
        // Cancelled: by `statement_timeout`, or by an administrator.
        Some("57014") => Reason::DeadlineExceeded,
        // A deadlock; a lock that is not available in time.
        Some("40P01" | "55P03") => Reason::Conflict,
        // Shutting down, crashed, starting up, the database was dropped; connection exceptions; no resources.
        Some(code) if code.starts_with("57P0") || code.starts_with("08") || code.starts_with("53") => {
            Reason::Unavailable
        }
        _ => Reason::InternalError,
    }
}

/// Returns the name of the unique constraint that an error violates, if that is its cause.
pub fn violated_unique(error: &DieselError) -> Option<&str> {
    match error {
        DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, info) => info.constraint_name(),
        _ => None,
    }
}

/// Returns a conversion of errors: the violation of this unique constraint is `ALREADY_EXISTS` with this message.
pub fn already_exists(constraint: &str, message: &'static str) -> impl FnOnce(DieselError) -> Error {
    move |error| {
        if violated_unique(&error) == Some(constraint) {
            return Error::with_message(Reason::AlreadyExists, message).caused_by(error);
        }
        error.into()
    }
}

/// Returns the name of the foreign key that an error violates, if that is its cause.
pub fn violated_foreign_key(error: &DieselError) -> Option<&str> {
    match error {
        DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, info) => info.constraint_name(),
        _ => None,
    }
}
