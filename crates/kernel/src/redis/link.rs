//! The connection to Redis.
//!
//! A bb8-redis pool opens, checks and replaces the connection, and all requests share it, or, in a Redis Cluster, one to
//! each node, which the redis crate's `ClusterConnection` uses like one and chooses by the key. The redis crate's
//! `MultiplexedConnection` sends the commands of concurrent callers in one write and reads the answers in order. That
//! is implicit pipelining. A checkout of a connection per command was measured: it is slower with any number of connections
//! as soon as callers are concurrent (docs/performance.md). No command here blocks the connection (no
//! BLPOP).
//!
//! The crate's own `ConnectionManager` is not used: it reconnects with a separate exponential delay, beyond the two
//! seconds allowed here, and only when a connection breaks, not when it goes silent. The breaker does both.

mod connection;
mod source;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bb8_redis::bb8::{ErrorSink, ManageConnection, Pool, PooledConnection};
use opentelemetry::{KeyValue, trace::Status};
use parking_lot::{Mutex, RwLock};
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, ServerErrorKind, ToRedisArgs};
use secrecy::SecretString;
use tokio::time::timeout;
use tracing::{Instrument as _, Span, debug_span};

use crate::{
    breaker::{Breaker, Circuit, Verdict},
    config,
    redis::{Script, Unavailable},
    telemetry::traces,
};
use connection::{Connection, OpenConnection};
use source::Source;

/// The interval between two probes of a Redis that is unavailable.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
/// The longest that a probe may take to connect; short, so that recovery is noticed within [`PROBE_INTERVAL`] plus this.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// A connection to Redis, with a time-out and a circuit breaker. Cheap to clone.
#[derive(Clone)]
pub struct RedisLink(Arc<Inner>);

struct Inner {
    source: Arc<Source>,
    pool: Pool<Manager>,
    failures: Failures,
    /// Counts the times of a new connection; see [`Manager`].
    generation: Arc<AtomicU64>,
    timeout: Duration,
    connection: RwLock<Option<PooledConnection<'static, Manager>>>,
    breaker: Arc<Breaker>,
}

impl fmt::Debug for RedisLink {
    /// Omits the URL, which may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLink").field("timeout", &self.0.timeout).field("state", &self.state()).finish()
    }
}

impl RedisLink {
    /// Connects to the server of a URL; with Sentinels, the host of the URL is the name of the primary that they watch;
    /// with a cluster, the URL may be several, separated by commas, of any of its nodes. When Redis is unavailable,
    /// returns the link with its circuit open and keeps trying in the background.
    ///
    /// # Errors
    /// When a URL is not a Redis URL.
    pub async fn new(url: &SecretString, config: &config::Redis) -> anyhow::Result<Self> {
        // `rediss://` uses the process's default provider, which another module may have installed already.
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        // The crate's error may quote the URL, which contains the password.
        let not_redis = |_| anyhow::anyhow!("REDIS_URL or REDIS_SENTINELS is not a Redis URL");
        let source = Arc::new(Source::new(url, config).map_err(not_redis)?);
        let timeout = config.timeout;
        let generation = Arc::<AtomicU64>::default();
        let manager = Manager { source: source.clone(), timeout, generation: generation.clone() };
        let failures = Failures::default();
        let pool = Pool::builder()
            .max_size(1)
            .connection_timeout(CONNECT_TIMEOUT)
            // A probe that fails is repeated by `recover`.
            .retry_connection(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .error_sink(failures.boxed_clone())
            .build_unchecked(manager);
        let breaker = Arc::new(Breaker::new("redis", PROBE_INTERVAL, PROBE_INTERVAL));
        let connection = RwLock::default();
        let link = Self(Arc::new(Inner { source, pool, failures, generation, timeout, connection, breaker }));
        if let Err(cause) = link.0.connect().await {
            link.0.breaker.record_failure(true);
            tracing::warn!(cause, "Redis is unavailable; starting without it");
            tokio::spawn(recover(Arc::downgrade(&link.0), PROBE_INTERVAL, cause));
        }
        Ok(link)
    }

    /// The state of the circuit, for health and metrics.
    pub fn state(&self) -> Circuit {
        self.0.breaker.state()
    }

    /// Whether the keys are spread over the nodes of a Redis Cluster: those of one script must then have the same hash tag,
    /// which is the part of a key in braces.
    pub fn is_cluster(&self) -> bool {
        matches!(*self.0.source, Source::Cluster(_))
    }

    /// Runs a command.
    ///
    /// # Errors
    /// [`Unavailable`], after at most `REDIS_TIMEOUT`; immediately while the circuit is open.
    pub async fn cmd<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Unavailable> {
        self.run(name(command), async |connection| command.query_async(connection).await).await
    }

    /// Runs a script, which Redis executes atomically. The script is sent by its hash; Redis needs its text once.
    ///
    /// # Errors
    /// [`Unavailable`], after at most `REDIS_TIMEOUT`; immediately while the circuit is open.
    pub async fn script<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[impl ToRedisArgs],
        args: &[impl ToRedisArgs],
    ) -> Result<T, Unavailable> {
        let mut command = redis::cmd("EVALSHA");
        command.arg(script.hash.as_str()).arg(keys.len());
        for key in keys {
            command.arg(key);
        }
        for arg in args {
            command.arg(arg);
        }
        self.run(b"EVALSHA", async |connection| match command.query_async(connection).await {
            // Sent along, rather than loaded before: in a cluster, another node may answer the next time.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                with_text(&command, script).query_async(connection).await
            }
            result => result,
        })
        .await
    }

    async fn run<T>(
        &self,
        command: &[u8],
        call: impl AsyncFnOnce(&mut Connection) -> RedisResult<T>,
    ) -> Result<T, Unavailable> {
        let inner = &self.0;
        // No caller probes: one that did would wait for a Redis that hangs.
        if inner.breaker.state() != Circuit::Closed {
            return Err(Unavailable::Open);
        }
        let mut connection = inner.connection().ok_or(Unavailable::Open)?;
        let span = match traces::is_within_span() {
            true => debug_span!("command", otel.kind = "client", db.system.name = "redis"),
            false => Span::none(),
        };
        traces::describe(&span, |exported| {
            let name = String::from_utf8_lossy(command).into_owned();
            exported.update_name(name.clone());
            exported.set_attribute(KeyValue::new("db.operation.name", name));
        });
        let answer = timeout(inner.timeout, call(&mut connection)).instrument(span.clone()).await;
        if !matches!(answer, Ok(Ok(_))) {
            traces::describe(&span, |exported| exported.set_status(Status::error("the command failed")));
        }
        let (cause, is_lost) = match answer {
            Ok(Ok(value)) => {
                // In a cluster, it says nothing about the node that failed: a few failures, however far apart, and all
                // nodes are looked for and checked anew.
                if !self.is_cluster() {
                    inner.breaker.record_success();
                }
                return Ok(value);
            }
            Ok(Err(error)) => {
                let is_lost = is_misplaced(&error) || error.is_unrecoverable_error();
                (Unavailable::Failed(error), is_lost)
            }
            Err(_) => (Unavailable::Timeout, false),
        };
        metrics::counter!("mainstay_redis_failures_total").increment(1);
        if inner.breaker.record_failure(is_lost) {
            tracing::warn!(%cause, detail = std::error::Error::source(&cause), "Redis is unavailable");
            tokio::spawn(recover(Arc::downgrade(inner), Duration::ZERO, String::new()));
        }
        Err(cause)
    }
}

/// Whether there is no answer where it was looked for: from a replica that was the primary before, or from a cluster that
/// lacks a primary or a way to it.
fn is_misplaced(error: &RedisError) -> bool {
    use ServerErrorKind::{ClusterDown, MasterDown, Moved, ReadOnly};
    matches!(error.kind(), ErrorKind::Server(ReadOnly | Moved | ClusterDown | MasterDown))
}

/// The command that runs a script by its text, in place of the one by its hash.
fn with_text(by_hash: &Cmd, script: &Script) -> Cmd {
    let mut command = redis::cmd("EVAL");
    command.arg(script.text);
    for arg in by_hash.args_iter().skip(2) {
        if let redis::Arg::Simple(arg) = arg {
            command.arg(arg);
        }
    }
    command
}

/// The name of a command, which is its first word.
fn name(command: &Cmd) -> &[u8] {
    match command.args_iter().next() {
        Some(redis::Arg::Simple(name)) => name,
        _ => b"",
    }
}

impl Inner {
    fn connection(&self) -> Option<Connection> {
        let shared = self.connection.read();
        shared.as_ref().map(|entry| entry.connection.shared())
    }

    /// Replaces the connection by a new one, on which Redis answers as fast as callers expect. The old one is never
    /// tried again, because it may have died silently, which TCP would notice only after minutes.
    async fn connect(&self) -> Result<(), String> {
        self.generation.fetch_add(1, Ordering::Relaxed);
        self.share(None);
        self.failures.take();
        match self.pool.get_owned().await {
            Ok(connection) => {
                self.share(Some(connection));
                Ok(())
            }
            // The pool itself only says that there was no connection in time.
            Err(error) => Err(self.failures.take().unwrap_or_else(|| error.to_string())),
        }
    }

    fn share(&self, connection: Option<PooledConnection<'static, Manager>>) {
        *self.connection.write() = connection;
    }
}

/// The last failure of the pool to open a connection.
#[derive(Debug, Clone, Default)]
struct Failures(Arc<Mutex<Option<String>>>);

impl Failures {
    fn take(&self) -> Option<String> {
        self.0.lock().take()
    }
}

impl ErrorSink<RedisError> for Failures {
    fn sink(&self, error: RedisError) {
        *self.0.lock() = Some(error.to_string());
    }

    fn boxed_clone(&self) -> Box<dyn ErrorSink<RedisError>> {
        Box::new(self.clone())
    }
}

/// Probes until Redis is available again or the link is dropped. Logs why it is not when that changes.
async fn recover(link: Weak<Inner>, mut delay: Duration, mut logged: String) {
    loop {
        tokio::time::sleep(delay).await;
        let Some(link) = link.upgrade() else { return };
        let Some(probe) = link.breaker.clone().probe() else { return };
        let Err(cause) = link.connect().await else {
            probe.settle(Verdict::Alive);
            tracing::info!("Redis is available again");
            return;
        };
        if cause != logged {
            tracing::warn!(cause, "Redis is still unavailable");
            logged = cause;
        }
        probe.settle(Verdict::Unavailable);
        delay = PROBE_INTERVAL;
    }
}

/// Opens and checks connections as bb8-redis does, within the time that callers wait, and drops those from before the
/// last outage.
struct Manager {
    source: Arc<Source>,
    timeout: Duration,
    generation: Arc<AtomicU64>,
}

struct PoolEntry {
    connection: OpenConnection,
    generation: u64,
}

impl ManageConnection for Manager {
    type Connection = PoolEntry;
    type Error = RedisError;

    async fn connect(&self) -> RedisResult<PoolEntry> {
        let generation = self.generation.load(Ordering::Relaxed);
        Ok(PoolEntry { connection: self.source.connect().await?, generation })
    }

    async fn is_valid(&self, entry: &mut PoolEntry) -> RedisResult<()> {
        let check = timeout(self.timeout, entry.connection.check()).await;
        check.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
    }

    fn has_broken(&self, entry: &mut PoolEntry) -> bool {
        entry.generation != self.generation.load(Ordering::Relaxed)
    }
}
