//! Shared state that may be lost: sessions and rate limits, in Redis or its in-process stand-in.
//!
//! Correctness never depends on this state; it depends on Postgres. Each user of it decides what happens to a request
//! while Redis is unavailable: limits are then counted in process ([`limit`]), and sessions answer `UNAVAILABLE`.
//!
//! - [`RedisLink`]: one multiplexed connection of a pool, bounded waits and a circuit breaker, to a server with a fixed
//!   address, to the one that Redis Sentinel names, or to each node of a Redis Cluster.
//! - [`Script`]: what Redis does with several steps or keys at once.
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
    /// Opens Redis if the configuration names one, else the stand-in. A Redis that is unavailable does not prevent the
    /// start.
    ///
    /// # Errors
    /// When a URL is not a Redis URL.
    pub async fn new(config: &config::Redis, clock: Clock) -> anyhow::Result<Self> {
        Ok(match &config.url {
            Some(url) => Self::Server(RedisLink::new(url, config).await?),
            None => Self::Local(Local::new(clock)),
        })
    }

    /// The state of the circuit to Redis; the stand-in is always available.
    pub fn state(&self) -> Circuit {
        match self {
            Self::Server(link) => link.state(),
            Self::Local(_) => Circuit::Closed,
        }
    }

    /// Whether Redis can be used. Asks it, because the circuit learns of an outage from commands alone, and an idle process
    /// sends none. Takes `REDIS_TIMEOUT` at most.
    pub async fn is_available(&self) -> bool {
        if let Self::Server(link) = self {
            // The circuit judges the answer: one that is late is no outage yet.
            link.cmd::<redis::Value>(&redis::cmd("PING")).await.ok();
        }
        self.state() == Circuit::Closed
    }
}

/// A script in Lua, which Redis executes atomically.
#[derive(Debug, Clone)]
pub struct Script {
    text: &'static str,
    hash: String,
}

impl Script {
    /// Makes a script of its text.
    pub fn new(text: &'static str) -> Self {
        Self { text, hash: redis::Script::new(text).get_hash().to_owned() }
    }
}

/// Why the shared state could not be accessed. None of these tells whether a command that was sent took effect.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// No answer within `REDIS_TIMEOUT`.
    #[error("Redis did not answer in time")]
    Timeout,
    /// The circuit is open; nothing was sent.
    #[error("the circuit to Redis is open")]
    Open,
    /// Redis refused, or the connection broke.
    #[error("Redis failed")]
    Failed(#[from] redis::RedisError),
    /// The in-process stand-in takes no value of this size.
    #[error("the value is too large for the in-process store")]
    TooLarge,
}

impl From<Unavailable> for Error {
    fn from(error: Unavailable) -> Self {
        Self::unavailable(error)
    }
}
