//! The networks from which an account has signed in, in Redis. Sign-ins from known networks have separate limits, so
//! that guesses from elsewhere do not lock out the account's owner.
//!
//! The number of networks per account is bounded: an account can sign in from any number of networks, and must fill
//! neither Redis nor the in-memory stand-in.

use std::{net::IpAddr, sync::LazyLock, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use crate::identity::user::model::EmailAddress;
use mainstay_kernel::{
    rate_limit::Network,
    redis::{Redis, Script, Table, Unavailable},
};

/// The maximum number of known networks per account; beyond it, the least recently used network is dropped.
const MAX_PER_ACCOUNT: usize = 100;

/// Adds or renews a network, and keeps the newest ones. KEYS: the account's key. ARGV: network, lifetime in
/// milliseconds, number of networks to keep.
static REMEMBER: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local time = redis.call('TIME')
         local now = time[1] * 1000000 + time[2]
         redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
         redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[3]))
         redis.call('PEXPIRE', KEYS[1], ARGV[2])",
    )
});

/// Returns 1 if a network was added or renewed within its lifetime. KEYS: the account's key. ARGV: network, lifetime in
/// milliseconds.
static CONTAINS: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local at = redis.call('ZSCORE', KEYS[1], ARGV[1])
         local time = redis.call('TIME')
         local now = time[1] * 1000000 + time[2]
         if at and now - tonumber(at) < tonumber(ARGV[2]) * 1000 then return 1 end
         return 0",
    )
});

/// The known networks of all accounts. Cheap to clone.
#[derive(Debug, Clone)]
pub struct KnownNetworks {
    redis: Redis,
    /// How long a network is known after a sign-in.
    life: Duration,
}

/// Returns the key of an account, and the name of a network: hashed, so that no address is stored.
fn names(email: &EmailAddress, from: IpAddr) -> (String, String) {
    let text = |hash: Sha256| URL_SAFE_NO_PAD.encode(&hash.finalize()[..16]);
    let account = Sha256::new().chain_update(email.as_str());
    let network = account.clone().chain_update([0]).chain_update(Network::of(from).octets());
    (format!("mainstay:networks:{}", text(account)), text(network))
}

impl KnownNetworks {
    /// Makes a store of networks that are known for `life`.
    pub fn new(redis: Redis, life: Duration) -> Self {
        Self { redis, life }
    }

    fn life_ms(&self) -> String {
        u64::try_from(self.life.as_millis()).unwrap_or(u64::MAX >> 2).to_string()
    }

    /// Returns whether the account has signed in from the network of an address; `None` while Redis is unavailable.
    pub async fn contains(&self, email: &EmailAddress, from: IpAddr) -> Option<bool> {
        let (account, network) = names(email, from);
        match &self.redis {
            Redis::Server(link) => link.script(&CONTAINS, &[account], &[network, self.life_ms()]).await.ok(),
            Redis::Local(local) => Some(local.run(|table| table.get(&format!("{account}:{network}")).is_some())),
        }
    }

    /// Stores a network after a sign-in or a password reset. A failure is only logged.
    pub async fn remember(&self, email: &EmailAddress, from: IpAddr) {
        let (account, network) = names(email, from);
        let remembered = match &self.redis {
            Redis::Server(link) => {
                let args = [network, self.life_ms(), MAX_PER_ACCOUNT.to_string()];
                link.script::<()>(&REMEMBER, &[account], &args).await
            }
            Redis::Local(local) => local.run(|table| remember_locally(table, &account, &network, self.life)),
        };
        if let Err(error) = remembered {
            tracing::debug!(cause = %error, "a network that signed in was not remembered");
        }
    }
}

fn remember_locally(table: &mut Table<'_>, account: &str, network: &str, life: Duration) -> Result<(), Unavailable> {
    let (prefix, now_us) = (format!("{account}:"), table.now().timestamp_micros());
    // Big-endian times sort like their bytes.
    table.set(&format!("{prefix}{network}"), now_us.to_be_bytes().to_vec(), life)?;
    if table.with_prefix(&prefix).count() > MAX_PER_ACCOUNT {
        let oldest = table.with_prefix(&prefix).min_by(|(_, one), (_, other)| one.cmp(other));
        if let Some(oldest) = oldest.map(|(key, _)| key.to_owned()) {
            table.remove(&oldest);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use chrono::TimeDelta;
    use mainstay_dev_servers::{Redis as RedisServer, RedisOptions};
    use mainstay_kernel::{clock::Clock, config, redis::Local};

    use super::*;

    const LIFE: Duration = Duration::from_secs(3600);

    /// Returns an address of the network with a number.
    fn address(number: usize) -> IpAddr {
        Ipv6Addr::from((0x2001_0db8_u128 << 96) | ((number as u128) << 64) | 1).into()
    }

    fn email(text: &str) -> EmailAddress {
        EmailAddress::parse(text).expect("an address")
    }

    async fn server(redis: &RedisServer) -> Redis {
        let (url, timeout) = (Some(redis.url().into()), Duration::from_millis(500));
        let config = config::Redis { url, cluster: false, sentinels: Vec::new(), timeout };
        Redis::new(&config, Clock::default()).await.expect("a URL")
    }

    /// `pass` waits for a moment.
    async fn assert_the_last_are_known(networks: &KnownNetworks, pass: impl Fn()) {
        let (ada, bob) = (email("ada@example.org"), email("bob@example.org"));
        let remember = async |who: &EmailAddress, number: usize| {
            pass();
            networks.remember(who, address(number)).await;
        };
        for number in 0..MAX_PER_ACCOUNT {
            remember(&ada, number).await;
        }
        remember(&bob, 0).await;
        for email in [&ada, &bob] {
            assert_eq!(networks.contains(email, address(0)).await, Some(true));
        }
        assert_eq!(networks.contains(&bob, address(1)).await, Some(false));
        // The first network is used again, so the second is the oldest.
        remember(&ada, 0).await;
        remember(&ada, MAX_PER_ACCOUNT).await;
        for (number, is_known) in [(0, true), (1, false), (2, true), (MAX_PER_ACCOUNT, true)] {
            assert_eq!(networks.contains(&ada, address(number)).await, Some(is_known), "{number}");
        }
        assert_eq!(networks.contains(&bob, address(0)).await, Some(true), "another account keeps its own");
    }

    #[tokio::test]
    async fn an_account_is_known_from_its_last_networks() {
        let redis = RedisServer::start(RedisOptions::default()).await.expect("a Redis");
        assert_the_last_are_known(&KnownNetworks::new(server(&redis).await, LIFE), || {}).await;
        let clock = Clock::default();
        let networks = KnownNetworks::new(Redis::Local(Local::new(clock.clone())), LIFE);
        assert_the_last_are_known(&networks, || clock.advance(TimeDelta::microseconds(1))).await;
    }

    #[tokio::test]
    async fn a_network_is_known_for_its_own_time() {
        let (ada, [old, new]) = (email("ada@example.org"), [0, 1].map(address));
        let redis = RedisServer::start(RedisOptions::default()).await.expect("a Redis");
        let networks = KnownNetworks::new(server(&redis).await, Duration::from_secs(1));
        networks.remember(&ada, old).await;
        let since = std::time::Instant::now();
        while networks.contains(&ada, old).await == Some(true) {
            assert!(since.elapsed() < Duration::from_secs(30), "it is known for ever");
            networks.remember(&ada, new).await;
        }
        assert_eq!(networks.contains(&ada, new).await, Some(true));
    }

    #[tokio::test]
    async fn an_unused_account_leaves_redis() {
        let redis = RedisServer::start(RedisOptions::default()).await.expect("a Redis");
        let (networks, ada) = (KnownNetworks::new(server(&redis).await, LIFE), email("ada@example.org"));
        networks.remember(&ada, address(0)).await;
        let Redis::Server(link) = &networks.redis else { panic!("a server") };
        let (account, _) = names(&ada, address(0));
        let ttl_ms: i64 = link.cmd(redis::cmd("PTTL").arg(account)).await.expect("an answer");
        assert!((1..=3_600_000).contains(&ttl_ms), "{ttl_ms}");
    }

    /// One account signs in from more networks than the stand-in can hold.
    #[tokio::test]
    async fn many_networks_of_one_account_end_no_session() {
        let clock = Clock::default();
        let local = Local::new(clock.clone());
        let networks = KnownNetworks::new(Redis::Local(local.clone()), 2 * LIFE);
        local.run(|table| table.set("session", "of somebody else", LIFE)).expect("room");
        let ada = email("ada@example.org");
        for number in 0..100_100 {
            clock.advance(TimeDelta::microseconds(1));
            networks.remember(&ada, address(number)).await;
        }
        assert!(local.run(|table| table.get("session")).is_some());
    }
}
