//! The networks from which an account has signed in, in Redis: guesses from elsewhere must not keep its owner out.

use std::{net::IpAddr, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use crate::identity::user::model::EmailAddress;
use mainstay_kernel::{rate_limit::network, redis::Redis};

/// The known networks of all accounts. Cheap to clone.
#[derive(Debug, Clone)]
pub struct KnownNetworks {
    redis: Redis,
    /// How long a network is known after a sign-in.
    life: Duration,
}

/// Hashed, so that no address is stored.
fn key(email: &EmailAddress, from: IpAddr) -> String {
    let hash = Sha256::new().chain_update(email.as_str()).chain_update([0]).chain_update(network(from)).finalize();
    format!("mainstay:network:{}", URL_SAFE_NO_PAD.encode(&hash[..16]))
}

impl KnownNetworks {
    /// Makes a store of networks that are known for `life`.
    pub fn new(redis: Redis, life: Duration) -> Self {
        Self { redis, life }
    }

    /// Returns whether the account has signed in from the network of an address; no, while Redis is unavailable.
    pub async fn contains(&self, email: &EmailAddress, from: IpAddr) -> bool {
        let key = key(email, from);
        match &self.redis {
            Redis::Server(link) => link.cmd(redis::cmd("EXISTS").arg(key)).await.unwrap_or(false),
            Redis::Local(local) => local.run(|table| table.get(&key).is_some()),
        }
    }

    /// Remembers a network after a sign-in or a password reset. A failure is only logged.
    pub async fn remember(&self, email: &EmailAddress, from: IpAddr) {
        let key = key(email, from);
        let remembered = match &self.redis {
            Redis::Server(link) => {
                let life_ms = u64::try_from(self.life.as_millis()).unwrap_or(u64::MAX >> 2);
                link.cmd::<()>(redis::cmd("SET").arg(key).arg(1).arg("PX").arg(life_ms)).await
            }
            Redis::Local(local) => local.run(|table| table.set(&key, "1", self.life)),
        };
        if let Err(error) = remembered {
            tracing::debug!(cause = %error, "a network that signed in was not remembered");
        }
    }
}
