//! The stored log, with a separate connection pool, deadline and circuit breaker, and the last lines of this process in
//! memory.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use mainstay_kernel::{
    app::App,
    breaker::{Breaker, Verdict},
    changes::Feed,
    config,
    database::{Connection, Database},
    error::{Error, Reason, Result},
};

use crate::dashboard::system_log::{model::Line, store, stored::StoredLine};

/// The number of connections of the pool, for the writer and for readers.
pub const POOL_SIZE: u32 = 4;
/// The deadline of one call to the store.
pub const DEADLINE: Duration = Duration::from_secs(1);
/// The initial and maximum backoff of an unresponsive store, during which it receives no calls.
const INITIAL_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(10);
/// The number of the last lines of this process that are kept.
const MAX_RECENT: usize = 2_000;

/// The log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SystemLogs {
    database: Database,
    breaker: Arc<Breaker>,
    recent: Arc<Mutex<VecDeque<Line>>>,
    feed: Feed<StoredLine>,
}

impl SystemLogs {
    /// Opens the store; its pool connects on first use.
    ///
    /// # Errors
    /// An error if the URL is invalid.
    pub fn open(app: &App) -> anyhow::Result<Self> {
        let own = config::Database {
            pool_size: POOL_SIZE,
            pool_wait: DEADLINE / 2,
            statement_timeout: DEADLINE,
            trace_context: false,
            ..app.config.database.clone()
        };
        let url = own.url.as_ref().context("there is no DATABASE_URL")?;
        let breaker = Arc::new(Breaker::new("system_logs", INITIAL_BACKOFF, MAX_BACKOFF));
        let database = Database::new(url, "mainstay-logs", &own)?;
        let feed = Feed::new(database.clone(), |connection, cursor| Box::pin(store::follow(connection, cursor)));
        Ok(Self { database, breaker, recent: Arc::default(), feed })
    }

    /// The feed of stored lines of all processes.
    pub fn feed(&self) -> &Feed<StoredLine> {
        &self.feed
    }

    /// Runs statements on the store. Statements that search text may take long although the store is healthy. A caller
    /// with a shorter deadline than the store's may abandon the call, which says nothing about the store.
    ///
    /// # Errors
    /// `UNAVAILABLE` while the circuit is open, `DEADLINE_EXCEEDED`, and any error of `run`.
    pub async fn run<T>(&self, searches: bool, run: impl AsyncFnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        let admission = self.breaker.clone().admit();
        let admission =
            admission.map_err(|_| Error::unavailable(anyhow::anyhow!("the circuit of the log's store is open")))?;
        let outcome = match tokio::time::timeout(DEADLINE, self.database.autocommit(run)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::new(Reason::DeadlineExceeded)),
        };
        admission.settle(match &outcome {
            Ok(_) => Verdict::Alive,
            // Another transaction holds a lock.
            Err(error) if error.reason() == Reason::Conflict => Verdict::Alive,
            Err(error) if error.reason() == Reason::DeadlineExceeded && searches => Verdict::Unknown,
            Err(error) if error.reason() == Reason::Unavailable && self.is_busy() => Verdict::Unknown,
            Err(_) => Verdict::Unavailable,
        });
        if let Err(error) = &outcome {
            tracing::warn!(error = error.detail(), "a call to the store of the log failed");
        }
        outcome
    }

    /// Returns whether every connection is in use, for example by several searches. A call that gets no connection then
    /// says nothing about the store; the calls that hold connections will.
    fn is_busy(&self) -> bool {
        let (open, idle) = self.database.connections();
        open.saturating_sub(idle) >= POOL_SIZE
    }

    /// Adds to the last lines.
    pub fn remember(&self, lines: &[Line]) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.extend(lines.iter().cloned());
        let surplus = recent.len().saturating_sub(MAX_RECENT);
        recent.drain(..surplus);
    }

    /// Reads the last lines.
    pub fn recent<T>(&self, read: impl FnOnce(&VecDeque<Line>) -> T) -> T {
        read(&self.recent.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
