//! Attempt limits, on guesses of a secret and on mail that a caller can trigger: an exact sliding window log that fails
//! closed.
//!
//! People mistype, and a quota of ten should allow ten attempts in a row. GCRA would not, because its burst is a
//! quarter of the quota. The log keeps the times of counted attempts, which is cheap for tens, and admits an attempt if
//! fewer than the quota are within the last window. This bound is exact: never more than the quota in any closed
//! window, and never fewer than possible.
//!
//! An attempt is counted before it is made, because any number of concurrent guesses would pass otherwise. An attempt
//! that should not count, such as a correct guess, is taken back ([`Limiter::take_back`]).
//!
//! While Redis is unavailable, Postgres keeps the log ([`crate::database::attempt_limit`]). While both are unavailable,
//! no attempt is admitted.

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::LazyLock,
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use parking_lot::Mutex;

use crate::{
    config::Quota,
    database::{
        Connection,
        attempt_limit::{self, Attempt, Slot},
    },
    error::{Error, Result},
    rate_limit::{
        Limiter,
        key::{Key, Network},
    },
    redis::{Redis, RedisLink, Script, Unavailable},
};

static ATTEMPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("attempts.lua")));

/// The most logs of one limit in this process. With ten attempts each they take less than 4 MiB.
const MAX_LOGS: usize = 16_384;

/// A limit on attempts under one key.
#[derive(Debug, Clone, Copy)]
pub struct AttemptLimit {
    name: &'static str,
    key: Key,
    quota: Quota,
    is_confidential: bool,
}

impl AttemptLimit {
    /// Limits the attempts by or on the identity `who`. The `name` is shown to callers, and separates the limits.
    pub fn new(name: &'static str, who: &[u8], quota: Quota) -> Self {
        Self { name, key: Key::new(name, who), quota, is_confidential: false }
    }

    /// Limits the attempts from the network of an IP address: an IPv4 address, or the /64 of an IPv6 address.
    pub fn of_network(name: &'static str, address: IpAddr, quota: Quota) -> Self {
        Self::new(name, Network::of(address).octets(), quota)
    }

    /// Limits the attempts from the site of an IP address, over all its networks: the /48 of an IPv6 address. IPv4 has
    /// no sites, because no client has a comparable number of addresses.
    pub fn of_site(name: &'static str, address: IpAddr, quota: Quota) -> Option<Self> {
        Network::of(address).site().map(|site| Self::new(name, site.octets(), quota))
    }

    /// Excludes rejections from the metrics, which would reveal information about `who`.
    #[must_use]
    pub fn confidential(self) -> Self {
        Self { is_confidential: true, ..self }
    }

    fn window_us(&self) -> i64 {
        i64::try_from(self.quota.window.as_micros()).unwrap_or(i64::MAX / 4)
    }
}

/// A counted attempt.
#[derive(Debug, Default)]
#[must_use = "an attempt that succeeded is taken back"]
pub struct CountedAttempt {
    /// The limits in Redis or in memory, and the time under each.
    times: Vec<(AttemptLimit, i64)>,
    /// The slots in Postgres.
    slots: Vec<Slot>,
}

impl CountedAttempt {
    /// Restores an attempt from its limit and its time ([`CountedAttempt::at`]), so that any process can take it back.
    pub fn restore(limit: AttemptLimit, at: DateTime<Utc>) -> Self {
        Self { times: vec![(limit, at.timestamp_micros())], slots: Vec::new() }
    }

    /// Returns the time under its first limit, with a precision of microseconds; `None` if only this process
    /// can take it back, because Postgres has counted it.
    pub fn at(&self) -> Option<DateTime<Utc>> {
        self.times.first().and_then(|(_, at_us)| DateTime::from_timestamp_micros(*at_us))
    }
}

/// The outcome of an attempt that is counted in memory or in Redis.
enum Outcome {
    /// The time in microseconds.
    Counted(i64),
    Refused {
        limit: usize,
        wait_us: i64,
    },
}

impl Limiter {
    /// Counts an attempt under all limits, or under none if one of them is used up.
    ///
    /// # Errors
    /// `RATE_LIMIT_EXCEEDED`; `UNAVAILABLE` if the attempt can't be counted.
    pub async fn attempt(&self, limits: &[AttemptLimit]) -> Result<CountedAttempt> {
        let inner = &*self.0;
        // The keys of one script must be on one node.
        let group_size = match &inner.redis {
            Redis::Server(link) if link.is_cluster() => 1,
            _ => limits.len().max(1),
        };
        let mut attempt = CountedAttempt::default();
        for group in limits.chunks(group_size) {
            let outcome = match &inner.redis {
                Redis::Local(_) => Ok(inner.logs.attempt(group, inner.clock.now().timestamp_micros())),
                Redis::Server(link) => attempt_redis(link, group).await,
            };
            match outcome {
                Ok(Outcome::Counted(at_us)) => attempt.times.extend(group.iter().map(|limit| (*limit, at_us))),
                Ok(Outcome::Refused { limit, wait_us }) => {
                    self.take_back(attempt).await;
                    return Err(refusal(&group[limit], Duration::from_micros(wait_us.unsigned_abs())));
                }
                Err(_) => {
                    self.take_back(attempt).await;
                    return self.attempt_postgres(limits).await;
                }
            }
        }
        Ok(attempt)
    }

    /// Each limit has a separate statement, because a statement with slots of several could deadlock with another.
    async fn attempt_postgres(&self, limits: &[AttemptLimit]) -> Result<CountedAttempt> {
        metrics::counter!("mainstay_rate_limit_fallbacks_total").increment(1);
        let mut counted = CountedAttempt::default();
        for limit in limits {
            let (key, quota) = (limit.key.0, limit.quota);
            let attempt = self
                .0
                .database
                .autocommit(async move |connection| attempt_limit::attempt(connection, &key, quota).await);
            let refused = match attempt.await {
                Ok(Attempt::Admitted(slot)) => {
                    counted.slots.push(slot);
                    continue;
                }
                Ok(Attempt::Refused { wait }) => refusal(limit, wait),
                // An attempt that was not counted is not admitted, regardless of the error.
                Err(error) => Error::unavailable(anyhow::anyhow!(
                    "an attempt could not be counted in Postgres: {}",
                    error.detail()
                )),
            };
            self.take_back(counted).await;
            return Err(refused);
        }
        Ok(counted)
    }

    /// Takes an attempt back, so that it does not count. If this fails, the attempt counts.
    pub async fn take_back(&self, attempt: CountedAttempt) {
        let CountedAttempt { times, slots } = attempt;
        if !slots.is_empty() {
            let release = async move |connection: &mut Connection| attempt_limit::release(connection, &slots).await;
            if let Err(error) = self.0.database.autocommit(release).await {
                tracing::debug!(cause = error.detail(), "an attempt could not be taken back");
            }
        }
        let taken_back = times.into_iter().map(|(limit, at_us)| async move {
            match &self.0.redis {
                Redis::Local(_) => self.0.logs.take_back(&[limit], at_us),
                Redis::Server(link) => {
                    let key = limit.key.redis();
                    let taken_back = link.cmd::<()>(redis::cmd("LREM").arg(key.as_slice()).arg(-1).arg(at_us)).await;
                    if let Err(error) = taken_back {
                        tracing::debug!(cause = %error, "an attempt could not be taken back");
                    }
                }
            }
        });
        join_all(taken_back).await;
    }
}

fn refusal(limit: &AttemptLimit, wait: Duration) -> Error {
    if !limit.is_confidential {
        metrics::counter!("mainstay_rate_limited_total", "policy" => limit.name).increment(1);
    }
    // The wait is rounded up, so that the retry is not too early.
    let wait = Duration::from_millis(u64::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(u64::MAX).max(1));
    Error::limited(limit.name, limit.quota, wait)
}

async fn attempt_redis(link: &RedisLink, limits: &[AttemptLimit]) -> Result<Outcome, Unavailable> {
    let keys: Vec<_> = limits.iter().map(|limit| limit.key.redis().to_vec()).collect();
    let args: Vec<_> = limits.iter().flat_map(|limit| [i64::from(limit.quota.requests), limit.window_us()]).collect();
    Ok(match link.script::<(usize, i64)>(&ATTEMPT, &keys, &args).await? {
        (0, at_us) => Outcome::Counted(at_us),
        (number, wait_us) => Outcome::Refused { limit: number.min(limits.len()) - 1, wait_us },
    })
}

/// The logs of a process without Redis, by the name of the limit. A full table of one limit does not affect the others.
#[derive(Debug, Default)]
pub(crate) struct Logs(Mutex<HashMap<&'static str, Table>>);

#[derive(Debug, Default)]
struct Table(HashMap<Key, Log>);

/// The attempts under one key.
#[derive(Debug)]
struct Log {
    times_us: VecDeque<i64>,
    quota: usize,
    window_us: i64,
}

impl Log {
    fn new(limit: &AttemptLimit) -> Self {
        let quota = usize::try_from(limit.quota.requests).unwrap_or(usize::MAX);
        Self { times_us: VecDeque::new(), quota, window_us: limit.window_us() }
    }

    /// Removes attempts outside of the window. Returns the time until an attempt is admitted; `None`: now.
    fn wait_us(&mut self, now_us: i64) -> Option<i64> {
        while self.times_us.front().is_some_and(|&oldest_us| now_us - oldest_us > self.window_us) {
            self.times_us.pop_front();
        }
        let over = self.times_us.len().checked_sub(self.quota)?;
        Some(self.times_us.get(over).map_or(1, |at_us| (at_us + self.window_us + 1 - now_us).max(1)))
    }

    fn is_expired(&self, now_us: i64) -> bool {
        self.times_us.back().is_none_or(|&newest_us| now_us - newest_us > self.window_us)
    }

    fn is_full(&self) -> bool {
        self.times_us.len() >= self.quota
    }

    /// The eviction order: the fewest attempts first, and the oldest among equals; used-up logs last.
    fn rank(&self) -> (bool, usize, i64) {
        (self.is_full(), self.times_us.len(), self.times_us.back().copied().unwrap_or_default())
    }
}

impl Logs {
    fn attempt(&self, limits: &[AttemptLimit], now_us: i64) -> Outcome {
        let mut tables = self.0.lock();
        for (number, limit) in limits.iter().enumerate() {
            let log = tables.get_mut(limit.name).and_then(|table| table.0.get_mut(&limit.key));
            if let Some(wait_us) = log.and_then(|log| log.wait_us(now_us)) {
                return Outcome::Refused { limit: number, wait_us };
            }
        }
        for limit in limits {
            let log = tables.entry(limit.name).or_default().log(limit, now_us);
            log.times_us.push_back(now_us);
        }
        Outcome::Counted(now_us)
    }

    fn take_back(&self, limits: &[AttemptLimit], at_us: i64) {
        let mut tables = self.0.lock();
        for limit in limits {
            if let Some(log) = tables.get_mut(limit.name).and_then(|table| table.0.get_mut(&limit.key))
                && let Some(index) = log.times_us.iter().rposition(|&us| us == at_us)
            {
                log.times_us.remove(index);
            }
        }
    }
}

impl Table {
    /// Returns the log of a key. A full table evicts a quarter for a new key: expired logs first, and then those with
    /// the fewest attempts. A used-up log is evicted only if all others are used up too. A flood of keys therefore
    /// locks out no caller, and must use up thousands of limits to free one guesser.
    fn log(&mut self, limit: &AttemptLimit, now_us: i64) -> &mut Log {
        if self.0.len() >= MAX_LOGS && !self.0.contains_key(&limit.key) {
            self.0.retain(|_, log| !log.is_expired(now_us));
            self.forget(self.0.len().saturating_sub(MAX_LOGS - MAX_LOGS / 4));
        }
        self.0.entry(limit.key).or_insert_with(|| Log::new(limit))
    }

    fn forget(&mut self, count: usize) {
        let Some(last) = count.checked_sub(1) else { return };
        let mut ranks: Vec<_> = self.0.values().map(Log::rank).collect();
        let (_, &mut highest, _) = ranks.select_nth_unstable(last);
        self.0.retain(|_, log| log.rank() > highest);
    }
}
