//! Postgres: the connection pool and, below it, one file per resource with diesel only. Functions take a connection and
//! return domain types.
//!
//! There are three ways to get a connection. [`Database::read`] runs short reads on connections that many of them share;
//! [`Database::autocommit`] lends a connection for other statements that stand alone; [`Database::transaction`] runs a
//! transaction. The last two handle a caller that disconnects: the running statement is cancelled, an open transaction is
//! rolled back, and the connection returns to the pool clean or not at all.

pub(crate) mod after_commit;
pub mod attempt_limit;
pub mod condition;
pub(crate) mod connect;
pub mod count;
pub mod idempotency;
pub mod integrity;
pub mod migrations;
pub mod optional_column;
#[expect(missing_docs, reason = "the columns are documented in migrations/")]
pub mod schema;
pub mod seek;
mod shared;
pub mod statement;
pub mod visibility;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_async::{
    AnsiTransactionManager, AsyncPgConnection, SimpleAsyncConnection as _, TransactionManager as _,
    pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, PoolError, RecyclingMethod, bb8},
};
use futures_util::FutureExt as _;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Notify;

use after_commit::Added;
pub use connect::ConnectFailure;

use crate::{
    config,
    error::{Error, Reason, Result},
};

/// A connection to Postgres.
pub type Connection = AsyncPgConnection;

type Pooled = bb8::PooledConnection<'static, AsyncPgConnection>;

/// The connection pool.
#[derive(Clone)]
pub struct Database {
    pool: bb8::Pool<AsyncPgConnection>,
    connector: connect::Connector,
    shared: Arc<shared::Shared>,
    jobs_added: Arc<Notify>,
    changes_noted: Arc<Notify>,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("state", &self.pool.state()).finish()
    }
}

impl Database {
    /// Makes a pool to `url`. It connects on first use, so that a server can start while Postgres is unavailable.
    /// `name` is what `pg_stat_activity` calls its connections.
    ///
    /// # Errors
    /// When the URL is invalid.
    pub fn new(url: &SecretString, name: &str, config: &config::Database) -> anyhow::Result<Self> {
        let connector = connect::Connector::new(url.expose_secret(), name, config.statement_timeout)?;
        let timeout = config.statement_timeout.min(shared::TIMEOUT);
        let shared = connect::Connector::new(url.expose_secret(), &format!("{name}-shared"), timeout)?;
        let mut manager = ManagerConfig::<AsyncPgConnection>::default();
        // No test query: a round trip per request would only tell what is_broken() knows without one.
        manager.recycling_method = RecyclingMethod::Fast;
        let setup = connector.clone();
        manager.custom_setup = Box::new(move |_| {
            let connected = setup.clone().connect();
            async move { Ok(connected.await?) }.boxed()
        });
        let manager = AsyncDieselConnectionManager::new_with_config("", manager);
        let pool = bb8::Pool::builder()
            .max_size(config.pool_size)
            .connection_timeout(config.pool_wait)
            .test_on_check_out(false)
            .idle_timeout(Some(Duration::from_secs(600)))
            .build_unchecked(manager);
        Ok(Self {
            pool,
            connector,
            shared: shared::Shared::new(shared),
            jobs_added: Arc::default(),
            changes_noted: Arc::default(),
        })
    }

    /// Runs a read of a few rows by their keys, on a connection that other reads share. `run` must only read, because it
    /// runs a second time, on a connection of its own, if the shared one breaks or does not answer within 500 ms.
    ///
    /// A read sees all that was committed before it, as everywhere else.
    ///
    /// # Errors
    /// As [`Database::autocommit`].
    pub async fn read<T>(&self, run: impl AsyncFnOnce(&Connection) -> Result<T> + Clone) -> Result<T> {
        if let Some(result) = self.shared.run(run.clone()).await {
            return result;
        }
        let mut lease = self.lease().await?;
        let result = run(lease.connection()).await;
        lease.settled = true;
        result
    }

    /// Lends a connection for statements that stand alone.
    ///
    /// # Errors
    /// `UNAVAILABLE` when no connection is available in time, and any error of `run`.
    pub async fn autocommit<T>(&self, run: impl AsyncFnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        let mut lease = self.lease().await?;
        let (result, added) = after_commit::watch(run(lease.connection())).await;
        lease.settled = true;
        self.wake(added);
        result
    }

    /// Runs a transaction, which commits everything that `run` did or, if it fails or the caller disconnects, nothing.
    ///
    /// # Errors
    /// `UNAVAILABLE` when no connection is available in time, and any error of `run` or of the commit.
    pub async fn transaction<T, E: From<Error>>(
        &self,
        run: impl AsyncFnOnce(&mut Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut lease = self.lease().await?;
        execute(lease.connection(), "BEGIN").await?;
        let (result, added) = after_commit::watch(run(lease.connection())).await;
        self.end(lease, result, added).await
    }

    /// As [`Database::transaction`]; the statements of `first` are sent with the BEGIN, in one round trip.
    ///
    /// # Errors
    /// As [`Database::transaction`], and any error of `first`.
    pub async fn transaction_after<F, T, E: From<Error>>(
        &self,
        first: impl AsyncFnOnce(&Connection) -> Result<F>,
        run: impl AsyncFnOnce(&mut Connection, F) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut lease = self.lease().await?;
        let (begin, found) = {
            let connection: &Connection = lease.connection();
            futures_util::join!(execute(connection, "BEGIN"), first(connection))
        };
        match begin.and(found) {
            Ok(found) => {
                let (result, added) = after_commit::watch(run(lease.connection(), found)).await;
                self.end(lease, result, added).await
            }
            Err(error) => self.end(lease, Err(error.into()), Added::default()).await,
        }
    }

    /// Commits a transaction, or rolls it back.
    async fn end<T, E: From<Error>>(&self, mut lease: Lease, result: Result<T, E>, added: Added) -> Result<T, E> {
        match &result {
            Ok(_) => {
                crate::fault::point("commit.before")?;
                execute(lease.connection(), "COMMIT").await?;
                self.wake(added);
                crate::fault::point("commit.after")?;
            }
            Err(_) if execute(lease.connection(), "ROLLBACK").await.is_err() => {
                // The pool drops the connection, which rolls back all the same.
                AnsiTransactionManager::transaction_manager_status_mut(lease.connection()).set_in_error();
            }
            Err(_) => {}
        }
        lease.settled = true;
        result
    }

    fn wake(&self, added: Added) {
        if added.jobs {
            self.jobs_added.notify_one();
        }
        if added.changes {
            self.changes_noted.notify_one();
        }
    }

    /// Is notified after each commit of this process that added changes.
    pub(crate) fn changes_noted(&self) -> &Notify {
        &self.changes_noted
    }

    /// Is notified after each commit of this process that added jobs.
    pub(crate) fn jobs_added(&self) -> &Notify {
        &self.jobs_added
    }

    /// Opens a connection outside the pool, for work that must not return it to the pool.
    ///
    /// # Errors
    /// When Postgres is unavailable or refuses.
    pub async fn dedicated(&self) -> Result<Connection, ConnectFailure> {
        self.connector.clone().connect().await
    }

    /// Returns the name of the database, as the URL has it.
    pub fn name(&self) -> &str {
        self.connector.database()
    }

    /// Returns the number of connections, and how many of them are idle.
    pub fn connections(&self) -> (u32, u32) {
        let state = self.pool.state();
        (state.connections, state.idle_connections)
    }

    /// Returns how long this process has waited for connections.
    pub(crate) fn waits(&self) -> Waits {
        let statistics = self.pool.state().statistics;
        Waits { count: statistics.get_waited + statistics.get_timed_out, total: statistics.get_wait_time }
    }

    async fn lease(&self) -> Result<Lease> {
        let began = Instant::now();
        loop {
            let mut pooled = self.pool.get_owned().await.map_err(|error| match error {
                bb8::RunError::TimedOut => {
                    metrics::counter!("mainstay_postgres_pool_timeouts_total").increment(1);
                    Error::unavailable(anyhow::anyhow!("no Postgres connection in time"))
                }
                bb8::RunError::User(PoolError::ConnectionError(error)) => Error::unavailable(error),
                bb8::RunError::User(PoolError::QueryError(error)) => Error::unavailable(error),
            })?;
            // A restart of Postgres breaks every idle connection; dropping one here makes the pool discard it.
            if !diesel_async::pooled_connection::PoolableConnection::is_broken(&mut *pooled) {
                metrics::histogram!("mainstay_postgres_pool_wait_seconds").record(began.elapsed());
                return Ok(Lease { connector: self.connector.clone(), pooled: Some(pooled), settled: false });
            }
        }
    }
}

/// How often somebody had to wait for a connection, and for how long in all.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Waits {
    pub(crate) count: u64,
    pub(crate) total: Duration,
}

impl Waits {
    /// Returns the average of the waits that have ended since.
    pub(crate) fn average_since(&self, earlier: &Self) -> Duration {
        let count = u32::try_from(self.count - earlier.count).unwrap_or(u32::MAX);
        self.total.saturating_sub(earlier.total).checked_div(count).unwrap_or_default()
    }
}

/// Runs a statement that begins or ends a transaction. Not by diesel's transaction manager, which can't send it together
/// with others.
async fn execute(mut connection: &Connection, statement: &'static str) -> Result<()> {
    Ok(connection.batch_execute(statement).await?)
}

/// A borrowed connection.
struct Lease {
    connector: connect::Connector,
    pooled: Option<Pooled>,
    settled: bool,
}

impl Lease {
    fn connection(&mut self) -> &mut Connection {
        self.pooled.as_mut().expect("held until dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let (Some(mut pooled), Ok(runtime)) = (self.pooled.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let connector = self.connector.clone();
        runtime.spawn(async move {
            connector.cancel(&pooled).await;
            // This queues behind the cancelled statement: once it is answered, Postgres is idle, and the pool may open
            // another connection in the place of this one without exceeding its size.
            let rest = tokio::time::timeout(Duration::from_secs(5), pooled.batch_execute("ROLLBACK")).await;
            if !matches!(rest, Ok(Ok(()))) {
                tracing::warn!("a Postgres connection did not become idle after its statement was cancelled");
            }
            // The request to cancel may still be on its way and would hit the next borrower's statement, so the pool
            // must drop the connection.
            AnsiTransactionManager::transaction_manager_status_mut(&mut *pooled).set_in_error();
        });
    }
}

impl From<DieselError> for Error {
    fn from(error: DieselError) -> Self {
        let cause = match &error {
            // The connection broke during COMMIT, and so did the ROLLBACK after it; the first error is the relevant
            // one.
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
            // A server that only reads, such as one that was demoted: another one will write.
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

/// Returns the reason for an error that diesel does not classify, by its SQLSTATE (PostgreSQL documentation,
/// appendix A).
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
pub fn broken_unique(error: &DieselError) -> Option<&str> {
    match error {
        DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, info) => info.constraint_name(),
        _ => None,
    }
}

/// Returns the name of the foreign key that an error violates, if that is its cause.
pub fn broken_reference(error: &DieselError) -> Option<&str> {
    match error {
        DieselError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, info) => info.constraint_name(),
        _ => None,
    }
}
