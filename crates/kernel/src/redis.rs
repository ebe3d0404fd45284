//! Shared volatile state, such as rate limits and known networks, in Redis or its in-process stand-in.
//!
//! Correctness depends on Postgres alone, never on this state. Each user of the state decides the outcome of a request
//! while Redis is unavailable: rate limits count in process ([`limit`]), and a network counts as unknown.
//!
//! - [`RedisLink`]: one multiplexed connection of a pool, bounded waits and a circuit breaker, to a server with a fixed
//!   address, to the primary that Redis Sentinel names, or to each node of a Redis Cluster.
//! - [`Script`]: a Lua script, for atomic operations with several steps or keys.
//! - [`Local`]: the stand-in of `mainstay serve` without `REDIS_URL`, for a single process.

mod link;
mod local;

use crate::{breaker::Circuit, clock::Clock, config, error::Error};

pub use link::RedisLink;
pub use local::{Local, Table};

/// Redis, or its in-process stand-in. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Redis {
    /// Shared by all instances.
    Server(RedisLink),
    /// Private to this process.
    Local(Local),
}

impl Redis {
    /// Opens Redis if a URL is configured, else the stand-in. An unavailable Redis does not prevent the start.
    ///
    /// # Errors
    /// If a URL is not a Redis URL.
    pub async fn new(config: &config::Redis, clock: Clock) -> anyhow::Result<Self> {
        Ok(match &config.url {
            Some(url) => Self::Server(RedisLink::new(url, config).await?),
            None => Self::Local(Local::new(clock)),
        })
    }

    /// Returns the state of the circuit to Redis. The stand-in is always available.
    pub fn state(&self) -> Circuit {
        match self {
            Self::Server(link) => link.state(),
            Self::Local(_) => Circuit::Closed,
        }
    }

    /// Returns whether Redis is available, within `REDIS_TIMEOUT`. It sends a command, because an idle process would
    /// not notice an outage otherwise.
    pub async fn is_available(&self) -> bool {
        if let Self::Server(link) = self {
            // The circuit judges the result, because a single late answer is not yet an outage.
            link.cmd::<redis::Value>(&redis::cmd("PING")).await.ok();
        }
        self.state() == Circuit::Closed
    }
}

/// A Lua script, which Redis executes atomically.
#[derive(Debug, Clone)]
pub struct Script {
    text: &'static str,
    hash: String,
}

impl Script {
    /// Creates a script from its text.
    pub fn new(text: &'static str) -> Self {
        Self { text, hash: redis::Script::new(text).get_hash().to_owned() }
    }
}

/// The failure of an access to the shared state. A command that was sent may still have taken effect.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// No answer within `REDIS_TIMEOUT`.
    #[error("Redis did not answer in time")]
    Timeout,
    /// The circuit is open; nothing was sent.
    #[error("the circuit to Redis is open")]
    Open,
    /// Redis rejected the command, or the connection broke.
    #[error("Redis failed")]
    Failed(#[from] redis::RedisError),
    /// The value exceeds the size limit of the in-process stand-in.
    #[error("the value is too large for the in-process store")]
    TooLarge,
}

impl From<Unavailable> for Error {
    fn from(error: Unavailable) -> Self {
        Self::unavailable(error)
    }
}
