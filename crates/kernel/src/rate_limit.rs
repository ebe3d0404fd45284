//! Rate limits: counted in Redis for all instances together, and in process while Redis is unavailable.
//!
//! | limit | algorithm | while Redis is unavailable |
//! |---|---|---|
//! | address, address-site, read, write, bulk | GCRA (`gcra.rs`): the quota per window, and a quarter of it at once | in process, at rate ÷ instances |
//! | attempts | an exact log of a sliding window (`attempts.rs`): all of the quota at once | Postgres; without it, refused |
//!
//! In process, counting continues from the last known state of Redis.
//!
//! Each limit guarantees its bound over the lifetime of a Redis primary, also across instances, because Redis uses its
//! own clock and a script is atomic: burst + rate·t + 1 for GCRA, and q in any window of w for attempts. All charges of
//! a request are applied in one round trip, all or none: a rejection by one limit costs nothing of the others. A busy
//! caller gets requests admitted in advance (`lease.rs`), which then need no round trip.
//!
//! In a Redis Cluster, the keys of a request are on different nodes with different clocks, so that each is charged
//! separately. GCRA charges run concurrently, and a charge that was admitted in vain becomes a lease for the caller's
//! next request. Attempts run one after another, and counted ones are taken back if a later limit rejects. The bounds
//! are the same.

mod arrivals;
mod attempts;
mod charge;
pub mod gcra;
mod key;
mod lease;
mod policy;
#[cfg(test)]
mod tests;
mod verdict;

use std::sync::{Arc, LazyLock};

use futures_util::future::try_join3;

use crate::{
    clock::Clock,
    config,
    database::Database,
    rate_limit::gcra::Gcra,
    redis::{Redis, RedisLink, Script, Unavailable},
};
use arrivals::{Arrivals, Precheck, RedisGrant};
use policy::Policies;
use verdict::{MAX_CHARGES, Verdict};

pub use attempts::{AttemptLimit, CountedAttempt};
pub use charge::{Charge, Charges};
pub use key::Network;
pub use policy::{Policy, PolicyId, Work};
pub use verdict::Decision;

static GCRA: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("rate_limit/gcra.lua")));

/// The rate limiter. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Limiter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    redis: Redis,
    database: Database,
    clock: Clock,
    policies: Policies,
    arrivals: Arrivals,
    logs: attempts::Logs,
}

impl Limiter {
    /// Creates a limiter that counts in `redis`, and attempts in `database` while Redis is unavailable.
    pub fn new(redis: Redis, database: Database, limits: &config::Limits, clock: Clock) -> Self {
        let (policies, arrivals, logs) = (Policies::new(limits), Arrivals::default(), attempts::Logs::default());
        Self(Arc::new(Inner { redis, database, clock, policies, arrivals, logs }))
    }

    /// Returns a limit.
    pub fn policy(&self, id: PolicyId) -> &Policy {
        self.0.policies.get(id)
    }

    /// Applies up to three charges against different limits, all or none. It never fails: while Redis is unavailable,
    /// it counts in process.
    ///
    /// # Panics
    /// Without a charge, or with more than three.
    pub async fn charge(&self, charges: &[Charge]) -> Decision {
        match self.try_charge(charges) {
            Ok(decision) => decision,
            Err(charges) => self.charge_via_redis(charges).await,
        }
    }

    /// Like [`Limiter::charge`], without waiting.
    ///
    /// # Errors
    /// The charges that only Redis can decide, for [`Limiter::charge_via_redis`].
    ///
    /// # Panics
    /// As [`Limiter::charge`].
    pub(crate) fn try_charge(&self, charges: &[Charge]) -> Result<Decision, RedisCharges> {
        assert!((1..=MAX_CHARGES).contains(&charges.len()), "one to three charges");
        let inner = &*self.0;
        let shared = inner.limits(charges, |policy| policy.shared);
        let shared = &shared[..charges.len()];
        // The time is taken before the call to Redis, so that the answer is never treated as newer than it is.
        let now_us = inner.now_us();
        let Redis::Server(link) = &inner.redis else {
            return Ok(self.decide(shared, &inner.arrivals.charge(shared, now_us)));
        };
        match inner.arrivals.spend(shared, now_us) {
            Precheck::Decided(verdict) => Ok(self.decide(shared, &verdict)),
            Precheck::AskRedis(asks) => {
                let charges = charges.iter().copied().collect();
                Err(RedisCharges { link: link.clone(), charges, asks, asked_us: now_us })
            }
        }
    }

    /// Applies charges in Redis.
    pub(crate) async fn charge_via_redis(&self, charges: RedisCharges) -> Decision {
        let inner = &*self.0;
        let RedisCharges { link, charges, asks, asked_us } = charges;
        let shared = inner.limits(&charges, |policy| policy.shared);
        let shared = &shared[..charges.len()];
        match charge_redis(&link, shared, asks).await {
            Ok(answer) => self.decide(shared, &inner.arrivals.record(shared, asks, &answer, asked_us)),
            Err(_) => {
                inner.arrivals.refund(shared, asks);
                metrics::counter!("mainstay_rate_limit_fallbacks_total").increment(1);
                let local = inner.limits(&charges, |policy| policy.local);
                let local = &local[..charges.len()];
                self.decide(local, &inner.arrivals.charge(local, inner.now_us()))
            }
        }
    }

    fn decide(&self, limits: &[(Charge, Gcra)], verdict: &Verdict) -> Decision {
        let each = limits.iter().zip(verdict.backlogs_us);
        let decisions =
            each.filter_map(|(&(charge, gcra), backlog)| Decision::of(verdict, charge.policy(), gcra, backlog));
        let decision = decisions.reduce(Decision::tighter).expect("a refusal comes from one of the charges");
        self.count(&decision);
        decision
    }

    fn count(&self, decision: &Decision) {
        if !decision.allowed {
            let policy = self.policy(decision.policy).name;
            metrics::counter!("mainstay_rate_limited_total", "policy" => policy).increment(1);
        }
    }
}

impl Inner {
    fn now_us(&self) -> i64 {
        self.clock.now().timestamp_micros()
    }

    fn limits(&self, charges: &[Charge], gcra: impl Fn(&Policy) -> Gcra) -> [(Charge, Gcra); MAX_CHARGES] {
        std::array::from_fn(|index| {
            let charge = charges[index.min(charges.len() - 1)];
            (charge, gcra(self.policies.get(charge.policy())))
        })
    }
}

/// Charges that Redis must decide.
#[derive(Debug)]
pub(crate) struct RedisCharges {
    link: RedisLink,
    charges: Charges,
    asks: [u32; MAX_CHARGES],
    asked_us: i64,
}

/// Applies the charges with a non-zero request count in Redis.
async fn charge_redis(
    link: &RedisLink,
    charges: &[(Charge, Gcra)],
    asks: [u32; MAX_CHARGES],
) -> Result<RedisGrant, Unavailable> {
    if !link.is_cluster() {
        return charge_together(link, charges, asks).await;
    }
    let only = |index: usize| {
        let asks = std::array::from_fn(|other| if other == index { asks[other] } else { 0 });
        charge_together(link, charges, asks)
    };
    // The future is boxed, because it would otherwise enlarge the future of every request, even without a cluster.
    let (first, second, third) = Box::pin(try_join3(only(0), only(1), only(2))).await?;
    let is_admitted = first.is_admitted && second.is_admitted && third.is_admitted;
    Ok(RedisGrant { is_admitted, each: [first.each[0], second.each[1], third.each[2]] })
}

/// Applies charges atomically, all or none, whose keys are on one node. Without charges, it admits.
async fn charge_together(
    link: &RedisLink,
    charges: &[(Charge, Gcra)],
    asks: [u32; MAX_CHARGES],
) -> Result<RedisGrant, Unavailable> {
    let (mut indexes, mut count) = ([0; MAX_CHARGES], 0);
    let (mut keys, mut args) = ([[0; 38]; MAX_CHARGES], [[0_i64; 3]; MAX_CHARGES]);
    for (index, (charge, gcra)) in charges.iter().enumerate().filter(|(index, _)| asks[*index] > 0) {
        indexes[count] = index;
        keys[count] = charge.redis();
        args[count] = [gcra.cost_us, gcra.horizon_us, asks[index].into()];
        count += 1;
    }
    let keys: [&[u8]; MAX_CHARGES] = std::array::from_fn(|number| keys[number].as_slice());
    let (keys, args) = (&keys[..count], args[..count].as_flattened());
    // Tuples are parsed without an allocation.
    let (flag, grants) = match count {
        0 => (1, [(0, 0); MAX_CHARGES]),
        1 => {
            let (flag, first_us, first) = link.script::<(i64, i64, u32)>(&GCRA, keys, args).await?;
            (flag, [(first_us, first), (0, 0), (0, 0)])
        }
        2 => {
            let (flag, first_us, first, second_us, second) =
                link.script::<(i64, i64, u32, i64, u32)>(&GCRA, keys, args).await?;
            (flag, [(first_us, first), (second_us, second), (0, 0)])
        }
        _ => {
            let (flag, first_us, first, second_us, second, third_us, third) =
                link.script::<(i64, i64, u32, i64, u32, i64, u32)>(&GCRA, keys, args).await?;
            (flag, [(first_us, first), (second_us, second), (third_us, third)])
        }
    };
    let mut answer = RedisGrant { is_admitted: flag == 1, ..RedisGrant::default() };
    for (&index, grant) in indexes[..count].iter().zip(grants) {
        answer.each[index] = grant;
    }
    Ok(answer)
}
