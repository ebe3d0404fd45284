//! Arrival times in process memory: the only state without Redis, and a mirror of the answers of Redis with it.
//!
//! The mirror has three purposes. A request that was admitted in advance, by a [`Lease`], needs no call. A request that
//! Redis would certainly reject is rejected locally, so that a flood costs Redis nothing. When Redis becomes
//! unavailable, counting continues from its last answers rather than from zero. `governor` has the same algorithm, but its
//! state cannot be set to the answer of another store.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::rate_limit::{
    charge::Charge,
    gcra::Gcra,
    lease::Lease,
    verdict::{MAX_CHARGES, Verdict},
};

/// The most keys; 8 MiB. A key is kept until its arrival time, which is at most the duration of one burst.
const MAX_KEYS: usize = 65_536;
const SWEEP_EVERY_US: i64 = 100_000;
/// The shared key of callers without room in the table, so that a flood of new keys resets no counter.
const OVERFLOW_KEY: Charge = Charge::OVERFLOW;

#[derive(Debug, Default)]
pub(crate) struct Arrivals(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    by_key: HashMap<Charge, Entry>,
    swept_at_us: i64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    arrives_us: i64,
    lease: Lease,
}

impl Entry {
    fn new(arrives_us: i64) -> Self {
        Self { arrives_us, lease: Lease::default() }
    }

    /// Returns the time by which the arrival time would be ahead without the unspent lease.
    fn backlog_us(&self, gcra: Gcra, now_us: i64) -> i64 {
        let leased_us = gcra.cost_us.saturating_mul(self.lease.remaining(now_us).into());
        (gcra.backlog_us(self.arrives_us, now_us) - leased_us).max(0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precheck {
    Decided(Verdict),
    /// The number of requests to ask for, per charge; 0 where a lease was spent.
    AskRedis([u32; MAX_CHARGES]),
}

/// The answer of Redis: the backlog of each key, and the number of admitted requests. A cluster may admit requests of
/// one key although another one rejects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RedisGrant {
    pub(crate) is_admitted: bool,
    pub(crate) each: [(i64, u32); MAX_CHARGES],
}

impl Arrivals {
    /// Applies all charges or none.
    pub(crate) fn charge(&self, charges: &[(Charge, Gcra)], now_us: i64) -> Verdict {
        let mut entries = self.0.lock();
        let slots: [Charge; MAX_CHARGES] =
            std::array::from_fn(|index| charges.get(index).map_or(OVERFLOW_KEY, |&(key, _)| entries.slot(key, now_us)));
        let mut verdict = entries.verdict(charges, slots, now_us);
        if verdict.is_admitted {
            for ((&(_, gcra), slot), backlog_us) in charges.iter().zip(slots).zip(&mut verdict.backlogs_us) {
                *backlog_us += gcra.cost_us;
                entries.by_key.insert(slot, Entry::new(now_us + *backlog_us));
            }
        }
        verdict
    }

    /// Spends leased requests. Returns the requests that Redis must decide, unless it would certainly reject.
    pub(crate) fn spend(&self, charges: &[(Charge, Gcra)], now_us: i64) -> Precheck {
        let mut entries = self.0.lock();
        let mut asks = [0; MAX_CHARGES];
        let mut verdict = Verdict::default();
        for (index, &(key, gcra)) in charges.iter().enumerate() {
            let Some(entry) = entries.by_key.get_mut(&key) else {
                asks[index] = 1;
                continue;
            };
            if !entry.lease.spend(now_us) {
                asks[index] = entry.lease.ask(now_us);
                verdict.is_admitted &= gcra.wait_us(gcra.backlog_us(entry.arrives_us, now_us)) == 0;
            }
            verdict.backlogs_us[index] = entry.backlog_us(gcra, now_us);
        }
        if !verdict.is_admitted {
            entries.refund(charges, asks);
        }
        if verdict.is_admitted && asks != [0; MAX_CHARGES] {
            Precheck::AskRedis(asks)
        } else {
            Precheck::Decided(verdict)
        }
    }

    pub(crate) fn refund(&self, charges: &[(Charge, Gcra)], asks: [u32; MAX_CHARGES]) {
        self.0.lock().refund(charges, asks);
    }

    /// Stores the answer of Redis, and returns the verdict. Answers may be out of order, so an arrival time only grows.
    pub(crate) fn record(
        &self,
        charges: &[(Charge, Gcra)],
        asks: [u32; MAX_CHARGES],
        answer: &RedisGrant,
        now_us: i64,
    ) -> Verdict {
        let mut entries = self.0.lock();
        if !answer.is_admitted {
            entries.refund(charges, asks);
        }
        let mut verdict = Verdict { is_admitted: answer.is_admitted, ..Verdict::default() };
        for (index, &(key, gcra)) in charges.iter().enumerate() {
            let (backlog_us, size) = answer.each[index];
            if asks[index] == 0 {
                verdict.backlogs_us[index] = entries.by_key.get(&key).map_or(0, |entry| entry.backlog_us(gcra, now_us));
                continue;
            }
            verdict.backlogs_us[index] = backlog_us;
            // A full mirror evicts keys. It must not merge callers whom Redis counts separately.
            if entries.slot(key, now_us) == key {
                let entry = entries.by_key.entry(key).or_insert(Entry::new(now_us));
                entry.arrives_us = now_us + gcra.backlog_us(entry.arrives_us, now_us).max(backlog_us);
                if size > 0 {
                    entry.lease.grant(size, now_us);
                }
                let mut unspent = size.saturating_sub(1);
                if size > 0 && !answer.is_admitted {
                    entry.lease.refund();
                    unspent = size;
                }
                verdict.backlogs_us[index] -= gcra.cost_us.saturating_mul(unspent.into());
            }
        }
        verdict
    }
}

impl Entries {
    fn verdict(&self, charges: &[(Charge, Gcra)], slots: [Charge; MAX_CHARGES], now_us: i64) -> Verdict {
        let mut verdict = Verdict::default();
        for ((&(_, gcra), slot), backlog_us) in charges.iter().zip(slots).zip(&mut verdict.backlogs_us) {
            *backlog_us = self.by_key.get(&slot).map_or(0, |entry| gcra.backlog_us(entry.arrives_us, now_us));
            verdict.is_admitted &= gcra.wait_us(*backlog_us) == 0;
        }
        verdict
    }

    fn refund(&mut self, charges: &[(Charge, Gcra)], asks: [u32; MAX_CHARGES]) {
        for (key, _) in charges.iter().zip(asks).filter(|(_, ask)| *ask == 0).map(|(charge, _)| charge) {
            if let Some(entry) = self.by_key.get_mut(key) {
                entry.lease.refund();
            }
        }
    }

    /// Returns the slot of a key: the key itself while there is room, or else the overflow key. Entries with the
    /// earliest arrival times are evicted first, so that a flood of addresses neither frees a rejected caller nor locks
    /// others out.
    fn slot(&mut self, key: Charge, now_us: i64) -> Charge {
        if self.by_key.len() < MAX_KEYS || self.by_key.contains_key(&key) {
            return key;
        }
        if (now_us - self.swept_at_us).abs() >= SWEEP_EVERY_US {
            self.swept_at_us = now_us;
            self.by_key.retain(|_, entry| entry.arrives_us > now_us);
            if self.by_key.len() >= MAX_KEYS {
                let mut arrivals: Vec<_> = self.by_key.values().map(|entry| entry.arrives_us).collect();
                let (_, &mut soonest, _) = arrivals.select_nth_unstable(MAX_KEYS / 4);
                self.by_key.retain(|_, entry| entry.arrives_us > soonest);
            }
        }
        if self.by_key.len() < MAX_KEYS { key } else { OVERFLOW_KEY }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv6Addr, time::Duration};

    use super::*;
    use crate::{config::Quota, rate_limit::key::Network};

    fn gcra() -> Gcra {
        Gcra::new(Quota { requests: 10, window: Duration::from_secs(60) })
    }

    fn key(number: usize) -> Charge {
        Charge::network(Network::of(Ipv6Addr::from((number as u128) << 64).into()))
    }

    /// Returns whether this process knows that Redis would reject a request.
    fn refuses(arrivals: &Arrivals, key: Charge, now_us: i64) -> bool {
        match arrivals.spend(&[(key, gcra())], now_us) {
            Precheck::Decided(verdict) => !verdict.is_admitted,
            Precheck::AskRedis(_) => false,
        }
    }

    /// The answer of Redis about one key.
    fn answer(backlog_us: i64, size: u32) -> RedisGrant {
        RedisGrant { is_admitted: size > 0, each: [(backlog_us, size), (0, 0), (0, 0)] }
    }

    #[test]
    fn all_or_none() {
        let arrivals = Arrivals::default();
        let (ours, shared) = ((key(1), gcra()), (key(2), gcra()));
        for _ in 0..3 {
            assert!(arrivals.charge(&[shared], 0).is_admitted);
        }
        assert!(!arrivals.charge(&[ours, shared], 0).is_admitted);
        assert_eq!(arrivals.charge(&[ours], 0).backlogs_us[0], gcra().cost_us, "a refused request costs nothing");
    }

    #[test]
    fn a_flood_of_keys_is_bounded_and_frees_no_key() {
        let arrivals = Arrivals::default();
        while arrivals.charge(&[(key(0), gcra())], 0).is_admitted {}
        for number in 1..MAX_KEYS + 100 {
            arrivals.charge(&[(key(number), gcra())], 0);
        }
        assert!(arrivals.0.lock().by_key.len() <= MAX_KEYS + 1);
        assert!(!arrivals.charge(&[(key(0), gcra())], 0).is_admitted, "an old key is still counted");
        let next = SWEEP_EVERY_US;
        assert!(arrivals.charge(&[(key(usize::MAX), gcra())], next).is_admitted, "no other key is locked out");
        assert!(!arrivals.charge(&[(key(0), gcra())], next).is_admitted, "an old key is still counted");
        let later = 60_000_000;
        assert!(arrivals.charge(&[(key(usize::MAX), gcra())], later).is_admitted);
        assert!(arrivals.0.lock().by_key.len() < 10, "what has passed makes room");
    }

    #[test]
    fn counting_continues_from_the_last_answer_of_redis() {
        let (arrivals, now_us) = (Arrivals::default(), 1_000_000);
        let charge = [(key(1), gcra())];
        arrivals.record(&charge, [1, 0, 0], &answer(gcra().horizon_us, 0), now_us);
        arrivals.record(&charge, [1, 0, 0], &answer(0, 1), now_us);
        assert!(refuses(&arrivals, key(1), now_us), "an answer that was overtaken changes nothing");
        assert!(!refuses(&arrivals, key(1), now_us + gcra().cost_us));
    }

    #[test]
    fn a_clock_that_was_set_back_delays_no_caller() {
        let (arrivals, now_us) = (Arrivals::default(), 3_600_000_000);
        let charge = [(key(1), gcra())];
        arrivals.record(&charge, [1, 0, 0], &answer(gcra().horizon_us, 0), now_us);
        let corrected = now_us - 500_000;
        assert_eq!(arrivals.charge(&charge, corrected).backlogs_us[0], gcra().horizon_us, "a correction frees no key");
        assert_eq!(arrivals.charge(&charge, 0).backlogs_us[0], gcra().cost_us);
    }

    #[test]
    fn a_lease_is_spent_unless_another_limit_refuses() {
        let (arrivals, now_us) = (Arrivals::default(), 1_000_000);
        let (ours, full) = ((key(1), gcra()), (key(2), gcra()));
        let verdict = arrivals.record(&[ours], [3, 0, 0], &answer(3 * gcra().cost_us, 3), now_us);
        assert_eq!(
            verdict,
            Verdict { is_admitted: true, backlogs_us: [gcra().cost_us, 0, 0] },
            "two are still to be spent"
        );
        assert_eq!(arrivals.spend(&[ours, full], now_us), Precheck::AskRedis([0, 1, 0]));
        let refusal = RedisGrant { is_admitted: false, each: [(0, 0), (gcra().horizon_us, 0), (0, 0)] };
        assert!(!arrivals.record(&[ours, full], [0, 1, 0], &refusal, now_us).is_admitted);
        assert!(refuses(&arrivals, key(2), now_us));
        assert!(matches!(arrivals.spend(&[ours, full], now_us), Precheck::Decided(Verdict { is_admitted: false, .. })));
        for remaining in [1, 0] {
            let backlog_us = (3 - remaining) * gcra().cost_us;
            let verdict = Verdict { is_admitted: true, backlogs_us: [backlog_us, 0, 0] };
            assert_eq!(arrivals.spend(&[ours], now_us), Precheck::Decided(verdict));
        }
        assert!(refuses(&arrivals, key(1), now_us), "all three are spent, and there is no room for more");
    }

    #[test]
    fn an_unused_admission_of_a_cluster_is_for_the_next_request() {
        let (arrivals, now_us) = (Arrivals::default(), 1_000_000);
        let (ours, full) = ((key(1), gcra()), (key(2), gcra()));
        let partly = RedisGrant { is_admitted: false, each: [(gcra().cost_us, 1), (gcra().horizon_us, 0), (0, 0)] };
        let verdict = arrivals.record(&[ours, full], [1, 1, 0], &partly, now_us);
        assert_eq!(verdict, Verdict { is_admitted: false, backlogs_us: [0, gcra().horizon_us, 0] }, "nothing is spent");
        let verdict = Verdict { is_admitted: true, backlogs_us: [gcra().cost_us, 0, 0] };
        assert_eq!(arrivals.spend(&[ours], now_us), Precheck::Decided(verdict), "without asking Redis");
        assert_eq!(arrivals.spend(&[ours], now_us), Precheck::AskRedis([2, 0, 0]), "once");
    }
}
