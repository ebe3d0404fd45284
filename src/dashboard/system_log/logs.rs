//! The store of the log, with a pool, a deadline and a circuit breaker of its own; and the last lines of this process,
//! which need none.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use mainstay_kernel::{
    app::App,
    breaker::{Breaker, Verdict},
    config, context,
    database::{Connection, Database},
    error::{Error, Reason, Result},
};

use crate::dashboard::system_log::model::Line;

/// The connections of the pool: for the writer, and for readers.
const POOL_SIZE: u32 = 4;
/// The longest that the store may take, and less if the caller waits less long.
pub const DEADLINE: Duration = Duration::from_secs(1);
/// What remains of a caller's deadline for the answer without the store.
const RESERVE: Duration = Duration::from_millis(100);
/// How long nothing is sent to a store that does not answer.
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(10);
/// The last lines of this process.
const MAX_RECENT: usize = 2_000;

/// The log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SystemLogs {
    database: Database,
    breaker: Arc<Breaker>,
    recent: Arc<Mutex<VecDeque<Line>>>,
}

impl SystemLogs {
    /// Opens the store; its pool connects on first use.
    ///
    /// # Errors
    /// If the URL is invalid.
    pub fn open(app: &App) -> anyhow::Result<Self> {
        let own = config::Database {
            pool_size: POOL_SIZE,
            pool_wait: DEADLINE / 2,
            statement_timeout: DEADLINE,
            ..app.config.database.clone()
        };
        let url = own.url.as_ref().context("there is no DATABASE_URL")?;
        let breaker = Arc::new(Breaker::new("system_logs", FIRST_REST, LONGEST_REST));
        Ok(Self { database: Database::new(url, &own)?, breaker, recent: Arc::default() })
    }

    /// Runs statements on the store. Those that search text may take long although the store is well.
    ///
    /// # Errors
    /// `UNAVAILABLE` if the store is known not to answer, `DEADLINE_EXCEEDED`, and any error of `run`.
    pub async fn run<T>(&self, searches: bool, run: impl AsyncFnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        let admitted = self.breaker.clone().admit();
        let admitted = admitted.map_err(|_| Error::unavailable(anyhow::anyhow!("the store of the log rests")))?;
        let left = context::remaining().map_or(DEADLINE, |left| DEADLINE.min(left.saturating_sub(RESERVE)));
        let ran = match tokio::time::timeout(left, self.database.autocommit(run)).await {
            Ok(ran) => ran,
            Err(_) => Err(Error::new(Reason::DeadlineExceeded)),
        };
        admitted.settle(match &ran {
            Ok(_) => Verdict::Alive,
            Err(error) if error.reason() == Reason::DeadlineExceeded && searches => Verdict::Unknown,
            Err(_) => Verdict::Unavailable,
        });
        if let Err(error) = &ran {
            tracing::warn!(error = error.detail(), "the store of the log does not answer");
        }
        ran
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
