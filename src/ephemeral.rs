//! Shared state that may be lost: sessions, rate limits. Redis, or its in-process stand-in.
//!
//! Nothing here is what correctness rests on; that is Postgres. Whoever uses it decides what becomes of a request while
//! Redis is away: limits are then counted here ([`limit`]), sessions answer `UNAVAILABLE`.
//!
//! - [`RedisLink`]: one multiplexed connection, bounded waits and a circuit breaker. A Redis Cluster is not supported:
//!   the keys of one script would lie on different nodes.
//! - [`Local`]: the stand-in of `mainstay serve` without `REDIS_URL`, good for one process.

mod breaker;
mod gcra;
pub mod limit;
mod link;
mod local;
mod sessions;

use crate::{clock::Clock, config, error::Error};

pub use breaker::Circuit;
pub use link::RedisLink;
pub use local::{Local, Table};
pub use sessions::{Found, Sessions};

/// Redis, or its in-process stand-in. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Ephemeral {
    /// Shared by all instances.
    Redis(RedisLink),
    /// Of this process alone.
    Local(Local),
}

impl Ephemeral {
    /// Redis if the configuration names one, else the stand-in. A Redis that is away does not stop the start.
    ///
    /// # Errors
    /// When the URL is not one of a Redis.
    pub async fn new(config: &config::Redis, clock: Clock) -> anyhow::Result<Self> {
        Ok(match &config.url {
            Some(url) => Self::Redis(RedisLink::new(url, config.timeout).await?),
            None => Self::Local(Local::new(clock)),
        })
    }

    /// Whether it can be used now; the stand-in always can.
    pub fn state(&self) -> Circuit {
        match self {
            Self::Redis(link) => link.state(),
            Self::Local(_) => Circuit::Closed,
        }
    }
}

/// Why shared state was not to be had. None of these says whether a command that was sent took effect.
#[derive(Debug, thiserror::Error)]
pub enum Away {
    /// No answer within `REDIS_TIMEOUT`.
    #[error("Redis did not answer in time")]
    Silent,
    /// The circuit is open: nothing was sent.
    #[error("the circuit to Redis is open")]
    Open,
    /// Redis refused, or the connection broke.
    #[error("Redis failed")]
    Failed(#[from] redis::RedisError),
    /// The in-process stand-in holds as much as it may.
    #[error("the in-process store is full")]
    Full,
}

impl From<Away> for Error {
    fn from(away: Away) -> Self {
        Self::unavailable(away)
    }
}
