//! The limit on sign-in attempts: by IP address and by e-mail address.
//!
//! People mistype, and a quota of ten should allow ten attempts in a row; GCRA, which holds back half of the quota,
//! would not. So the log keeps the times of the admitted attempts, which is cheap for ten, and admits an attempt when
//! fewer than q lie within the last w. That is exact: never more than q in any closed window of w, and never fewer than
//! possible.
//!
//! It fails closed. While Redis is unavailable Postgres keeps the log ([`crate::database::login_limit`]); while both are,
//! nobody can sign in, which without Postgres is impossible anyway.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};

use redis::Script;

use crate::{
    config::Quota,
    database::login_limit::{self, Attempt},
    error::{Error, Reason, Result},
    rate_limit::{Decision, Limiter, PolicyId, key::Key},
    redis::{Redis, RedisLink, Unavailable},
};

static LOG: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("log.lua")));

/// Maximum number of logs in this process. With ten attempts each they take less than 4 MiB.
const MAX_LOGS: usize = 16_384;
/// The interval between two searches for expired logs, when there is no room.
const SWEEP_EVERY_US: i64 = 100_000;
/// The key under which callers without room are counted together.
const OVERFLOW_KEY: Key = Key([0; 16]);

impl Limiter {
    /// Counts an attempt from an IP address; IPv6 by /64.
    ///
    /// # Errors
    /// `UNAVAILABLE` when it can't be counted. A refusal is not an error but a decision.
    pub async fn login_from(&self, address: IpAddr) -> Result<Decision> {
        self.login(Key::address("login-address", address)).await
    }

    /// Counts an attempt for an e-mail address, whether it has an account or not.
    ///
    /// Call it before any other work of the attempt, and in each flow: sign-in, registration, reset.
    ///
    /// # Errors
    /// `RATE_LIMIT_EXCEEDED` after too many attempts; `UNAVAILABLE` when it can't be counted.
    pub async fn login_as(&self, email: &str) -> Result<()> {
        match self.login(Key::email("login-email", email)).await?.retry_after {
            Some(wait) => Err(Error::new(Reason::RateLimitExceeded).retry_after(wait)),
            None => Ok(()),
        }
    }

    async fn login(&self, key: Key) -> Result<Decision> {
        let inner = &*self.0;
        let quota = self.policy(PolicyId::Login).quota;
        let attempt = match &inner.redis {
            Redis::Local(_) => inner.logs.attempt(key, quota, inner.clock.now().timestamp_micros()),
            Redis::Server(link) => match attempt_redis(link, key, quota).await {
                Ok(attempt) => attempt,
                Err(_) => {
                    metrics::counter!("mainstay_rate_limit_fallbacks_total").increment(1);
                    let attempt = inner
                        .database
                        .autocommit(async move |connection| login_limit::attempt(connection, &key.0, quota).await);
                    // Whatever the error of Postgres, an attempt that was not counted is not admitted.
                    attempt.await.map_err(|error| {
                        if error.reason() == Reason::Unavailable {
                            return error;
                        }
                        Error::unavailable(anyhow::anyhow!("a login could not be counted in Postgres: {error:?}"))
                    })?
                }
            },
        };
        let decision = match attempt {
            Attempt::Admitted { remaining } => Decision::admitted(PolicyId::Login, remaining, quota.window),
            Attempt::Refused { wait } => {
                Decision::refused(PolicyId::Login, i64::try_from(wait.as_micros()).unwrap_or(i64::MAX))
            }
        };
        self.count(&decision);
        Ok(decision)
    }
}

async fn attempt_redis(link: &RedisLink, key: Key, quota: Quota) -> Result<Attempt, Unavailable> {
    let window_us = i64::try_from(quota.window.as_micros()).unwrap_or(i64::MAX / 4);
    let args = [i64::from(quota.requests), window_us];
    let (admitted, remaining, wait_us) = link.script::<(i64, u32, u64)>(&LOG, &[key.redis().as_slice()], &args).await?;
    Ok(if admitted == 1 {
        Attempt::Admitted { remaining }
    } else {
        Attempt::Refused { wait: Duration::from_micros(wait_us) }
    })
}

/// The logs of a process without Redis.
#[derive(Debug, Default)]
pub(crate) struct Logs(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    by_key: HashMap<Key, VecDeque<i64>>,
    swept_at_us: i64,
}

impl Logs {
    fn attempt(&self, key: Key, quota: Quota, now_us: i64) -> Attempt {
        let mut logs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let window_us = i64::try_from(quota.window.as_micros()).unwrap_or(i64::MAX / 4);
        let limit = usize::try_from(quota.requests).unwrap_or(usize::MAX);
        let slot = logs.slot(key, limit, now_us, window_us);
        let log = logs.by_key.entry(slot).or_default();
        while log.front().is_some_and(|&oldest_us| now_us - oldest_us > window_us) {
            log.pop_front();
        }
        match log.len().checked_sub(limit) {
            None => {
                log.push_back(now_us);
                Attempt::Admitted { remaining: u32::try_from(limit - log.len()).unwrap_or(u32::MAX) }
            }
            Some(over) => {
                let wait_us = (log[over] + window_us + 1 - now_us).max(1);
                Attempt::Refused { wait: Duration::from_micros(wait_us.unsigned_abs()) }
            }
        }
    }
}

impl Held {
    /// The slot of a key: its own while there is room. Those with the fewest attempts make room; those with none left
    /// never do, so no flood of addresses frees a guesser or locks others out.
    fn slot(&mut self, key: Key, limit: usize, now_us: i64, window_us: i64) -> Key {
        if self.by_key.len() < MAX_LOGS || self.by_key.contains_key(&key) {
            return key;
        }
        if (now_us - self.swept_at_us).abs() >= SWEEP_EVERY_US {
            self.swept_at_us = now_us;
            self.by_key.retain(|_, log| log.back().is_some_and(|&newest_us| now_us - newest_us <= window_us));
            if self.by_key.len() >= MAX_LOGS {
                self.forget(MAX_LOGS / 4, limit);
            }
        }
        if self.by_key.len() < MAX_LOGS { key } else { OVERFLOW_KEY }
    }

    /// Forgets logs with fewer than `limit` attempts: those with the fewest first, and the oldest of these.
    fn forget(&mut self, count: usize, limit: usize) {
        let age = |log: &VecDeque<i64>| (log.len(), log.back().copied().unwrap_or_default());
        let mut ages: Vec<_> = self.by_key.values().filter(|log| log.len() < limit).map(age).collect();
        let Some(last) = ages.len().checked_sub(1) else { return };
        let (_, &mut youngest, _) = ages.select_nth_unstable(count.min(last));
        self.by_key.retain(|_, log| log.len() >= limit || age(log) > youngest);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const QUOTA: Quota = Quota { requests: 10, window: Duration::from_secs(900) };

    #[test]
    fn ten_in_a_row_and_then_each_as_its_time_comes() {
        let (logs, key) = (Logs::default(), Key::email("test", "ada@example.org"));
        for at in 0..10 {
            assert_eq!(logs.attempt(key, QUOTA, at), Attempt::Admitted { remaining: 9 - at as u32 });
        }
        let wait = Duration::from_secs(900) - Duration::from_micros(8);
        assert_eq!(logs.attempt(key, QUOTA, 9), Attempt::Refused { wait });
        let free = 9 + wait.as_micros() as i64;
        assert!(matches!(logs.attempt(key, QUOTA, free - 1), Attempt::Refused { .. }));
        assert_eq!(logs.attempt(key, QUOTA, free), Attempt::Admitted { remaining: 0 });
    }

    #[test]
    fn a_flood_of_keys_is_bounded_and_frees_nobody() {
        let (logs, key) = (Logs::default(), |number: u32| Key::new("test", &number.to_le_bytes()));
        for _ in 0..10 {
            logs.attempt(key(0), QUOTA, 0);
        }
        for number in 1..MAX_LOGS as u32 + 100 {
            logs.attempt(key(number), QUOTA, 0);
        }
        assert!(logs.0.lock().unwrap().by_key.len() <= MAX_LOGS + 1);
        assert!(matches!(logs.attempt(key(0), QUOTA, 0), Attempt::Refused { .. }));
        assert!(matches!(logs.attempt(key(u32::MAX), QUOTA, SWEEP_EVERY_US), Attempt::Admitted { remaining: 9 }));
        assert!(matches!(logs.attempt(key(0), QUOTA, SWEEP_EVERY_US), Attempt::Refused { .. }));
        assert!(matches!(logs.attempt(key(0), QUOTA, 1_000_000_000), Attempt::Admitted { .. }));
    }

    #[test]
    fn a_flood_locks_nobody_out() {
        let (logs, key) = (Logs::default(), |number: u32| Key::new("test", &number.to_le_bytes()));
        for number in 0..4 * MAX_LOGS as u32 {
            logs.attempt(key(number), QUOTA, i64::from(number) * 1000);
            // Somebody who mistypes now and then.
            if number % 8192 == 0 {
                let other = logs.attempt(key(u32::MAX), QUOTA, i64::from(number) * 1000);
                assert!(matches!(other, Attempt::Admitted { .. }), "{number}");
            }
        }
        assert!(logs.0.lock().unwrap().by_key.len() <= MAX_LOGS + 1);
    }

    proptest! {
        #[test]
        fn no_window_holds_more_than_the_quota(
            requests in 1..12u32,
            window_us in 1..1_000_000u64,
            gaps in prop::collection::vec(prop_oneof![Just(0i64), 0..300_000i64], 1..200),
        ) {
            let quota = Quota { requests, window: Duration::from_micros(window_us) };
            let (logs, key) = (Logs::default(), Key::new("test", b""));
            let (mut now_us, mut admitted): (i64, Vec<i64>) = (0, Vec::new());
            for gap in gaps {
                now_us += gap;
                let admitted_in_window = admitted.iter().filter(|&&at| now_us - at <= window_us as i64).count();
                match logs.attempt(key, quota, now_us) {
                    Attempt::Admitted { remaining } => {
                        admitted.push(now_us);
                        prop_assert_eq!(admitted_in_window + remaining as usize + 1, requests as usize);
                    }
                    Attempt::Refused { .. } => prop_assert_eq!(admitted_in_window, requests as usize),
                }
            }
        }
    }
}
