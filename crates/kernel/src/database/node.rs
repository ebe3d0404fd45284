//! One server of Postgres: its pool of connections, and the connections that reads share.

use std::{
    borrow::Cow,
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use bb8_redis::bb8;
use diesel_async::{
    AnsiTransactionManager, SimpleAsyncConnection as _, TransactionManager as _,
    pooled_connection::PoolableConnection as _,
};
use futures_util::join;
use metrics::Histogram;

use super::{
    ConnectFailure, Connection,
    connect::{Connector, leads_through_pooler},
    execute,
    reach::{self, Reach},
    shared,
    shared::Shared,
};
use crate::{
    config,
    error::{Error, Result},
    id::AccountId,
    telemetry::traces,
};

const BY_KEY: Reach = Reach::across_accounts("the statement has the condition");
const ALL: Reach = Reach::across_accounts("statements that stand alone have no caller");

/// The longest wait for a statement that no caller waits for.
const MAX_REST: Duration = Duration::from_secs(5);

/// The longest wait for a COMMIT that no caller waits for. It is not cancelled. Its place in the pool bounds the number of
/// sessions that wait for a standby.
const MAX_COMMIT: Duration = Duration::from_secs(30);

pub(super) struct Session {
    connection: Connection,
    /// The account whose rows statements without a transaction reach; `None`: those of all accounts.
    bound: Option<AccountId>,
    /// Whether the next statement runs in the same session: a pooler may run it in another one.
    keeps_settings: bool,
}

pub(super) struct Sessions(Connector);

impl bb8::ManageConnection for Sessions {
    type Connection = Session;
    type Error = ConnectFailure;

    async fn connect(&self) -> Result<Session, ConnectFailure> {
        let mut connection = self.0.clone().connect().await?;
        let pooled = tokio::time::timeout(MAX_REST, leads_through_pooler(&mut connection)).await;
        let keeps_settings = matches!(pooled, Ok(Ok(false)));
        Ok(Session { connection, bound: None, keeps_settings })
    }

    /// No test query: a round trip per request would only tell what `has_broken` knows without one.
    async fn is_valid(&self, _: &mut Session) -> Result<(), ConnectFailure> {
        Ok(())
    }

    fn has_broken(&self, session: &mut Session) -> bool {
        std::thread::panicking() || session.connection.is_broken()
    }
}

/// The connections to one server. Cheap to clone.
#[derive(Clone)]
pub(super) struct Node {
    pool: bb8::Pool<Sessions>,
    connector: Connector,
    shared: Arc<Shared>,
    pool_wait: Histogram,
    sends_traces: bool,
}

impl Node {
    pub(super) fn new(url: &str, name: &str, config: &config::Database) -> anyhow::Result<Self> {
        Ok(Self::open(Connector::new(url, name, config.statement_timeout)?, name, config))
    }

    /// As [`Node::new`], for the server that accepts writes.
    pub(super) fn primary(url: &str, name: &str, config: &config::Database) -> anyhow::Result<Self> {
        Ok(Self::open(Connector::new(url, name, config.statement_timeout)?.with_writes(), name, config))
    }

    fn open(connector: Connector, name: &str, config: &config::Database) -> Self {
        let timeout = config.statement_timeout.min(shared::TIMEOUT);
        let shared = connector.renamed(&format!("{name}-shared"), timeout).with_role(reach::READER).without_scans();
        let pool = bb8::Pool::builder()
            .max_size(config.pool_size)
            .connection_timeout(config.pool_wait)
            .test_on_check_out(false)
            .idle_timeout(Some(Duration::from_secs(600)))
            .build_unchecked(Sessions(connector.clone()));
        let pool_wait = metrics::histogram!("mainstay_postgres_pool_wait_seconds");
        Self { pool, connector, shared: Shared::new(shared), pool_wait, sends_traces: config.trace_context }
    }

    pub(super) fn connector(&self) -> &Connector {
        &self.connector
    }

    pub(super) fn pool(&self) -> &bb8::Pool<Sessions> {
        &self.pool
    }

    /// Runs a read on a shared connection; returns `None` if it must be repeated. A shared connection can't have the name of a
    /// trace, because the statements of several traces alternate on it.
    pub(super) async fn try_read<T>(&self, run: impl AsyncFnOnce(&Connection) -> Result<T>) -> Option<Result<T>> {
        if self.trace().is_none() {
            return self.shared.run(run).await;
        }
        let result = self.query(BY_KEY, run).await;
        Some(result).filter(|result| !result.as_ref().is_err_and(Error::is_unavailable))
    }

    /// Runs a read on a shared connection or, if that does not answer, on a separate one.
    pub(super) async fn read<T>(&self, run: impl AsyncFnOnce(&Connection) -> Result<T> + Clone) -> Result<T> {
        if let Some(result) = self.try_read(run.clone()).await {
            return result;
        }
        self.query(BY_KEY, run).await
    }

    /// Lends a connection for reads. What binds the session, or begins a transaction, is sent with the first statements, and the
    /// result does not wait for the end of a transaction, so that neither takes a round trip more.
    pub(super) async fn query<T>(&self, reach: Reach, run: impl AsyncFnOnce(&Connection) -> Result<T>) -> Result<T> {
        let mut lease = self.lease().await?;
        if lease.trace.is_some() || !lease.session().keeps_settings && reach.account().is_some() {
            let begin = lease.begin(reach);
            let connection: &Connection = lease.connection();
            let (begun, result) = join!(execute(connection, &begin), run(connection));
            // Without its BEGIN, the read had the reach of the session: its result is dropped, and the connection is closed.
            begun?;
            lease.end();
            return result;
        }
        let result = match reach.bind(lease.session().bound) {
            Some(settings) => {
                let connection: &Connection = lease.connection();
                let (bound, result) = join!(execute(connection, &settings), run(connection));
                // The same.
                bound?;
                lease.session().bound = reach.account();
                result
            }
            None => run(lease.connection()).await,
        };
        lease.settle();
        result
    }

    /// Returns the trace of the current request or job if it is exported, and if statements carry it.
    fn trace(&self) -> Option<String> {
        let is_wanted = self.sends_traces && traces::is_active();
        is_wanted.then(traces::traceparent).flatten().filter(|trace| traces::is_sampled(trace))
    }

    pub(super) async fn lend<T>(&self, run: impl AsyncFnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        self.lease().await?.autocommit(run).await
    }

    /// As [`Node::lend`], for a write, which is not cancelled if its caller leaves: it waits for a standby like a COMMIT.
    pub(super) async fn write<T>(&self, run: impl AsyncFnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        let mut lease = self.lease().await?;
        lease.send_commit();
        lease.autocommit(run).await
    }

    pub(super) async fn lease(&self) -> Result<Lease> {
        let began = Instant::now();
        loop {
            let mut pooled = self.pool.get_owned().await.map_err(|error| match error {
                bb8::RunError::TimedOut => {
                    metrics::counter!("mainstay_postgres_pool_timeouts_total").increment(1);
                    let cause = self.connector.last_failure();
                    let cause = cause.unwrap_or_else(|| "all connections of the pool are in use".to_owned());
                    Error::unavailable(anyhow::anyhow!("no Postgres connection in time: {cause}"))
                }
                bb8::RunError::User(error) => Error::unavailable(error),
            })?;
            // A restart of Postgres breaks every idle connection; dropping one here makes the pool discard it.
            if !pooled.connection.is_broken() {
                self.pool_wait.record(began.elapsed());
                let (connector, trace) = (self.connector.clone(), self.trace());
                return Ok(Lease { connector, pooled: Some(pooled), settled: false, is_commit_sent: false, trace });
            }
        }
    }
}

/// Returns the statement that begins a transaction in a session that is bound to an account, or to none. The name of a traced
/// one is its `traceparent` until it ends, as OpenTelemetry's semantic conventions for PostgreSQL define it: `pg_stat_activity`
/// and `%a` in a log line show the trace. A comment in the SQL would have each traced statement parsed and planned again.
fn begin(trace: Option<&str>, reach: Reach, bound: Option<AccountId>) -> Cow<'static, str> {
    if trace.is_none() && reach.account() == bound {
        return "BEGIN".into();
    }
    let mut begin = "BEGIN".to_owned();
    if let Some(trace) = trace {
        // Only hexadecimal digits and dashes.
        write!(begin, "; SET LOCAL application_name TO '{trace}'").ok();
    }
    reach.bind_locally(bound, &mut begin);
    begin.into()
}

pub(crate) struct Lease {
    connector: Connector,
    pooled: Option<bb8::PooledConnection<'static, Sessions>>,
    settled: bool,
    is_commit_sent: bool,
    trace: Option<String>,
}

impl Lease {
    fn session(&mut self) -> &mut Session {
        self.pooled.as_mut().expect("held until dropped")
    }

    /// Returns the connection, for the statements of a transaction: those before its BEGIN have the reach of the session.
    pub(crate) fn connection(&mut self) -> &mut Connection {
        &mut self.session().connection
    }

    pub(crate) fn begin(&self, reach: Reach) -> Cow<'static, str> {
        begin(self.trace.as_deref(), reach, self.pooled.as_ref().and_then(|session| session.bound))
    }

    async fn autocommit<T>(mut self, run: impl AsyncFnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        if let Some(settings) = ALL.bind(self.session().bound) {
            execute(self.connection(), &settings).await?;
            self.session().bound = None;
        }
        let result = run(self.connection()).await;
        self.settle();
        result
    }

    /// Records that a COMMIT is sent, which is not cancelled if its caller leaves. A cancelled COMMIT no longer waits for a
    /// synchronous standby: other sessions, such as that of a repetition, would see what a failover loses.
    pub(crate) fn send_commit(&mut self) {
        self.is_commit_sent = true;
    }

    /// Whether a COMMIT was sent. If its answer was lost, the outcome of the transaction is unknown.
    pub(crate) fn is_commit_sent(&self) -> bool {
        self.is_commit_sent
    }

    /// Records that no statement runs and no transaction is open, so that the connection may be lent again.
    pub(crate) fn settle(&mut self) {
        self.settled = true;
    }

    /// Rolls the transaction back, which the caller does not wait for. Another caller is lent the connection once Postgres has
    /// answered. Without that answer it is closed, because it may have the role and the account of the transaction.
    fn end(mut self) {
        tokio::spawn(async move {
            let rest = tokio::time::timeout(MAX_REST, execute(self.connection(), "ROLLBACK")).await;
            if matches!(rest, Ok(Ok(()))) {
                self.settle();
            }
        });
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
        let (connector, is_commit_sent) = (self.connector.clone(), self.is_commit_sent);
        runtime.spawn(async move {
            let connection = &mut pooled.connection;
            if !is_commit_sent {
                connector.cancel(connection).await;
            }
            let longest = if is_commit_sent { MAX_COMMIT } else { MAX_REST };
            // This queues behind the last statement: once it is answered, Postgres is idle, and the pool may open another
            // connection in the place of this one without exceeding its size.
            let rest = tokio::time::timeout(longest, connection.batch_execute("ROLLBACK")).await;
            if !matches!(rest, Ok(Ok(()))) {
                tracing::warn!("a Postgres connection did not become idle after its caller left");
            }
            // The request to cancel may still be on its way and would hit the next borrower's statement, so the pool
            // must drop the connection.
            AnsiTransactionManager::transaction_manager_status_mut(connection).set_in_error();
        });
    }
}
