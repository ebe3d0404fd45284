//! The link to Redis.
//!
//! One connection serves all requests: the redis crate's `MultiplexedConnection` sends what concurrent callers want in
//! one write and reads the answers in order. That is pipelining without asking for it, and it spares the check-out
//! of a pool (bb8-redis), which under load is one more queue to wait in and one more system call per command.
//! Nothing here blocks the connection (no BLPOP, no SUBSCRIBE), which is what a pool would be needed for.
//!
//! The crate's own `ConnectionManager` is not used: it reconnects behind an exponential delay of its own, beyond our
//! two seconds, and only when a connection breaks, not when it goes silent. The breaker below does both.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock, Weak},
    time::Duration,
};

use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, Script, ToRedisArgs, aio::MultiplexedConnection};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::timeout;

use super::{
    Away,
    breaker::{Breaker, Circuit},
};

/// Between two probes of a Redis that is away.
const REST: Duration = Duration::from_millis(500);
/// The longest a probe may take to connect. Short, so that recovery is seen within [`REST`] and this.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// Commands waiting to be written; beyond it callers wait, and time out.
const QUEUE: usize = 512;

/// A connection to Redis, behind a time-out and a breaker. Cheap to clone.
#[derive(Clone)]
pub struct RedisLink(Arc<Inner>);

struct Inner {
    client: Client,
    timeout: Duration,
    connection: RwLock<Option<MultiplexedConnection>>,
    breaker: Breaker,
}

impl fmt::Debug for RedisLink {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLink").field("timeout", &self.0.timeout).field("state", &self.state()).finish()
    }
}

impl RedisLink {
    /// Connects. When Redis is away the link is returned all the same, with its circuit open, and goes on trying.
    ///
    /// # Errors
    /// When the URL is not one of a Redis.
    pub async fn new(url: &SecretString, timeout: Duration) -> anyhow::Result<Self> {
        // `rediss://` takes the process's provider; another part of the house may have set it already.
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        // The crate's error may quote the URL, which holds the password.
        let client = Client::open(url.expose_secret()).map_err(|_| anyhow::anyhow!("REDIS_URL is not a Redis URL"))?;
        let link =
            Self(Arc::new(Inner { client, timeout, connection: RwLock::default(), breaker: Breaker::default() }));
        link.0.breaker.probing();
        if !link.0.probe().await {
            tracing::warn!("Redis is away; the start goes on without it");
            tokio::spawn(recover(Arc::downgrade(&link.0), REST));
        }
        Ok(link)
    }

    /// Whether calls go through, for health and metrics.
    pub fn state(&self) -> Circuit {
        self.0.breaker.state()
    }

    /// Runs a command.
    ///
    /// # Errors
    /// [`Away`], after at most `REDIS_TIMEOUT`; at once while the circuit is open.
    pub async fn cmd<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Away> {
        self.run(async |connection| command.query_async(connection).await).await
    }

    /// Runs a script, which Redis does atomically. It is sent by its hash; Redis asks for the text once in its life.
    ///
    /// # Errors
    /// [`Away`], after at most `REDIS_TIMEOUT`; at once while the circuit is open.
    pub async fn script<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[impl ToRedisArgs],
        args: &[impl ToRedisArgs],
    ) -> Result<T, Away> {
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
    ) -> Result<T, Away> {
        let inner = &self.0;
        if inner.breaker.state() != Circuit::Closed {
            return Err(Away::Open);
        }
        let mut connection = inner.connection().ok_or(Away::Open)?;
        let (away, lost) = match timeout(inner.timeout, call(&mut connection)).await {
            Ok(Ok(value)) => {
                inner.breaker.succeeded();
                return Ok(value);
            }
            Ok(Err(error)) => {
                let lost = error.is_unrecoverable_error();
                (Away::Failed(error), lost)
            }
            Err(_) => (Away::Silent, false),
        };
        metrics::counter!("mainstay_redis_failures_total").increment(1);
        if inner.breaker.failed(lost) {
            tracing::warn!(cause = %away, detail = std::error::Error::source(&away), "Redis is away");
            tokio::spawn(recover(Arc::downgrade(inner), Duration::ZERO));
        }
        Err(away)
    }
}

impl Inner {
    fn connection(&self) -> Option<MultiplexedConnection> {
        self.connection.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes a new connection, and takes it over if Redis answers on it as fast as callers expect. Always a new one: an
    /// old one may have died without a sign, which TCP would notice after minutes.
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

/// Probes until Redis is back or the link is gone.
async fn recover(link: Weak<Inner>, mut rest: Duration) {
    loop {
        tokio::time::sleep(rest).await;
        let Some(link) = link.upgrade() else { return };
        link.breaker.probing();
        if link.probe().await {
            tracing::info!("Redis is back");
            return;
        }
        rest = REST;
    }
}

#[cfg(test)]
mod tests;
