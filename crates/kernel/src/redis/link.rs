//! The connection to Redis.
//!
//! One connection serves all requests: the redis crate's `MultiplexedConnection` sends the commands of concurrent
//! callers in one write and reads the answers in order. That is implicit pipelining, and it avoids the check-out of a
//! pool (bb8-redis), which under load is one more queue to wait in and one more system call per command. No command
//! here blocks the connection (no BLPOP, no SUBSCRIBE), which is what a pool would be needed for.
//!
//! The crate's own `ConnectionManager` is not used: it reconnects with an exponential delay of its own, beyond the two
//! seconds allowed here, and only when a connection breaks, not when it goes silent. The breaker below does both.

#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock, Weak},
    time::Duration,
};

use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, Script, ToRedisArgs, aio::MultiplexedConnection};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::timeout;

use crate::redis::{
    Unavailable,
    breaker::{Breaker, Circuit},
};

/// The interval between two probes of a Redis that is unavailable.
const REST: Duration = Duration::from_millis(500);
/// The longest that a probe may take to connect; short, so that recovery is noticed within [`REST`] plus this.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// Commands waiting to be written; when there are more, callers wait, and time out.
const QUEUE: usize = 512;

/// A connection to Redis, with a time-out and a circuit breaker. Cheap to clone.
#[derive(Clone)]
pub struct RedisLink(Arc<Inner>);

struct Inner {
    client: Client,
    timeout: Duration,
    connection: RwLock<Option<MultiplexedConnection>>,
    breaker: Breaker,
}

impl fmt::Debug for RedisLink {
    /// Omits the URL, which may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLink").field("timeout", &self.0.timeout).field("state", &self.state()).finish()
    }
}

impl RedisLink {
    /// Connects. When Redis is unavailable, returns the link with its circuit open and keeps trying in the background.
    ///
    /// # Errors
    /// When the URL is not a Redis URL.
    pub async fn new(url: &SecretString, timeout: Duration) -> anyhow::Result<Self> {
        // `rediss://` uses the process's default provider, which another module may have installed already.
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        // The crate's error may quote the URL, which contains the password.
        let client = Client::open(url.expose_secret()).map_err(|_| anyhow::anyhow!("REDIS_URL is not a Redis URL"))?;
        let link =
            Self(Arc::new(Inner { client, timeout, connection: RwLock::default(), breaker: Breaker::default() }));
        link.0.breaker.probing();
        if !link.0.probe().await {
            tracing::warn!("Redis is unavailable; starting without it");
            tokio::spawn(recover(Arc::downgrade(&link.0), REST));
        }
        Ok(link)
    }

    /// The state of the circuit, for health and metrics.
    pub fn state(&self) -> Circuit {
        self.0.breaker.state()
    }

    /// Runs a command.
    ///
    /// # Errors
    /// [`Unavailable`], after at most `REDIS_TIMEOUT`; immediately while the circuit is open.
    pub async fn cmd<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Unavailable> {
        self.run(async |connection| command.query_async(connection).await).await
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
        command.arg(script.get_hash()).arg(keys.len());
        for key in keys {
            command.arg(key);
        }
        for arg in args {
            command.arg(arg);
        }
        self.run(async |connection| match command.query_async(connection).await {
            Err(error) if error.kind() == redis::ErrorKind::Server(redis::ServerErrorKind::NoScript) => {
                script.load_async(connection).await?;
                command.query_async(connection).await
            }
            result => result,
        })
        .await
    }

    async fn run<T>(
        &self,
        call: impl AsyncFnOnce(&mut MultiplexedConnection) -> redis::RedisResult<T>,
    ) -> Result<T, Unavailable> {
        let inner = &self.0;
        if inner.breaker.state() != Circuit::Closed {
            return Err(Unavailable::Open);
        }
        let mut connection = inner.connection().ok_or(Unavailable::Open)?;
        let (away, lost) = match timeout(inner.timeout, call(&mut connection)).await {
            Ok(Ok(value)) => {
                inner.breaker.succeeded();
                return Ok(value);
            }
            Ok(Err(error)) => {
                let lost = error.is_unrecoverable_error();
                (Unavailable::Failed(error), lost)
            }
            Err(_) => (Unavailable::Timeout, false),
        };
        metrics::counter!("mainstay_redis_failures_total").increment(1);
        if inner.breaker.failed(lost) {
            tracing::warn!(cause = %away, detail = std::error::Error::source(&away), "Redis is unavailable");
            tokio::spawn(recover(Arc::downgrade(inner), Duration::ZERO));
        }
        Err(away)
    }
}

impl Inner {
    fn connection(&self) -> Option<MultiplexedConnection> {
        self.connection.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Opens a new connection, and uses it if Redis answers on it as fast as callers expect. The old connection is
    /// never tried, because it may have died silently, which TCP would notice only after minutes.
    async fn probe(&self) -> bool {
        let options = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE);
        let alive = async {
            let mut connection = self.client.get_multiplexed_async_connection_with_config(&options).await.ok()?;
            let ping = redis::cmd("PING");
            timeout(self.timeout, ping.query_async::<()>(&mut connection)).await.ok()?.ok()?;
            Some(connection)
        };
        let connection = alive.await;
        let alive = connection.is_some();
        *self.connection.write().unwrap_or_else(PoisonError::into_inner) = connection;
        self.breaker.probed(alive);
        alive
    }
}

/// Probes until Redis is available again or the link is dropped.
async fn recover(link: Weak<Inner>, mut rest: Duration) {
    loop {
        tokio::time::sleep(rest).await;
        let Some(link) = link.upgrade() else { return };
        link.breaker.probing();
        if link.probe().await {
            tracing::info!("Redis is available again");
            return;
        }
        rest = REST;
    }
}
