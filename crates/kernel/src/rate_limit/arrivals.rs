//! Arrival times kept in this process: the only state without Redis, and a mirror of the answers of Redis with it.
//!
//! The mirror serves two purposes. A request that it knows would be refused is refused here, so a flood costs Redis
//! nothing. And when Redis becomes unavailable, counting continues from its last answers rather than from zero.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::rate_limit::{
    gcra::Gcra,
    key::Key,
    verdict::{MAX_CHARGES, Verdict},
};

/// Maximum number of keys; 3 MiB. A key is kept until its arrival time, so for at most the duration of one burst.
const MAX_KEYS: usize = 65_536;
/// The interval between two searches for expired keys, when there is no room.
const SWEEP_EVERY_US: i64 = 100_000;
/// The key under which callers without room are counted together, so that a flood of new keys resets no counter.
const OVERFLOW_KEY: Key = Key([0; 16]);

#[derive(Debug, Default)]
pub(crate) struct Arrivals(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    by_key: HashMap<Key, i64>,
    swept_at_us: i64,
}

impl Arrivals {
    /// Makes all charges or none.
    pub(crate) fn charge(&self, charges: &[(Key, Gcra)], now_us: i64) -> Verdict {
        let mut entries = self.lock();
        let slots: [Key; MAX_CHARGES] =
            std::array::from_fn(|index| charges.get(index).map_or(OVERFLOW_KEY, |&(key, _)| entries.slot(key, now_us)));
        let mut verdict = entries.look(charges, slots, now_us);
        if verdict.admitted {
            for ((&(_, gcra), slot), backlog_us) in charges.iter().zip(slots).zip(&mut verdict.backlogs_us) {
                *backlog_us += gcra.cost_us;
                entries.by_key.insert(slot, now_us + *backlog_us);
            }
        }
        verdict
    }

    /// Evaluates charges by what is known of these very keys, without making them.
    pub(crate) fn look(&self, charges: &[(Key, Gcra)], now_us: i64) -> Verdict {
        let keys = std::array::from_fn(|index| charges.get(index).map_or(OVERFLOW_KEY, |&(key, _)| key));
        self.lock().look(charges, keys, now_us)
    }

    /// Stores the answer of Redis. Answers may arrive out of order; an arrival time only ever grows.
    pub(crate) fn learn(&self, charges: &[(Key, Gcra)], verdict: &Verdict, now_us: i64) {
        let mut entries = self.lock();
        for (&(key, gcra), backlog_us) in charges.iter().zip(verdict.backlogs_us) {
            // A full mirror forgets keys; it must not make unrelated callers share what Redis keeps apart.
            if entries.slot(key, now_us) == key {
                let arrives_us = entries.by_key.entry(key).or_insert(now_us);
                *arrives_us = now_us + gcra.backlog_us(*arrives_us, now_us).max(backlog_us);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn look(&self, charges: &[(Key, Gcra)], slots: [Key; MAX_CHARGES], now_us: i64) -> Verdict {
        let mut verdict = Verdict::default();
        for ((&(_, gcra), slot), backlog_us) in charges.iter().zip(slots).zip(&mut verdict.backlogs_us) {
            *backlog_us = gcra.backlog_us(self.by_key.get(&slot).copied().unwrap_or(now_us), now_us);
            verdict.admitted &= gcra.wait_us(*backlog_us) == 0;
        }
        verdict
    }

    /// The slot of a key: its own while there is room. Those that are done soonest make room, so a flood of addresses
    /// neither frees who is refused nor locks others out.
    fn slot(&mut self, key: Key, now_us: i64) -> Key {
        if self.by_key.len() < MAX_KEYS || self.by_key.contains_key(&key) {
            return key;
        }
        if (now_us - self.swept_at_us).abs() >= SWEEP_EVERY_US {
            self.swept_at_us = now_us;
            self.by_key.retain(|_, arrives_us| *arrives_us > now_us);
            if self.by_key.len() >= MAX_KEYS {
                let mut arrivals: Vec<_> = self.by_key.values().copied().collect();
                let (_, &mut soonest, _) = arrivals.select_nth_unstable(MAX_KEYS / 4);
                self.by_key.retain(|_, arrives_us| *arrives_us > soonest);
            }
        }
        if self.by_key.len() < MAX_KEYS { key } else { OVERFLOW_KEY }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Quota;

    fn gcra() -> Gcra {
        Gcra::new(Quota { requests: 10, window: Duration::from_secs(60) })
    }

    fn key(number: usize) -> Key {
        Key::new("test", &number.to_le_bytes())
    }

    #[test]
    fn all_or_none() {
        let arrivals = Arrivals::default();
        let (ours, shared) = ((key(1), gcra()), (key(2), gcra()));
        for _ in 0..5 {
            assert!(arrivals.charge(&[shared], 0).admitted);
        }
        assert!(!arrivals.charge(&[ours, shared], 0).admitted);
        assert_eq!(arrivals.look(&[ours], 0).backlogs_us[0], 0, "a refused request costs nothing");
    }

    #[test]
    fn a_flood_of_keys_is_bounded_and_frees_nobody() {
        let arrivals = Arrivals::default();
        while arrivals.charge(&[(key(0), gcra())], 0).admitted {}
        for number in 1..MAX_KEYS + 100 {
            arrivals.charge(&[(key(number), gcra())], 0);
        }
        assert!(arrivals.lock().by_key.len() <= MAX_KEYS + 1);
        assert!(!arrivals.charge(&[(key(0), gcra())], 0).admitted, "an old key is still counted");
        let next = SWEEP_EVERY_US;
        assert!(arrivals.charge(&[(key(usize::MAX), gcra())], next).admitted, "nobody is locked out");
        assert!(!arrivals.charge(&[(key(0), gcra())], next).admitted, "an old key is still counted");
        let later = 60_000_000;
        assert!(arrivals.charge(&[(key(usize::MAX), gcra())], later).admitted);
        assert!(arrivals.lock().by_key.len() < 10, "what has passed makes room");
    }

    #[test]
    fn counting_continues_from_the_last_answer_of_redis() {
        let arrivals = Arrivals::default();
        let charge = [(key(1), gcra())];
        let full = Verdict { admitted: false, backlogs_us: [gcra().horizon_us, 0] };
        arrivals.learn(&charge, &full, 1000);
        arrivals.learn(&charge, &Verdict::default(), 1000);
        assert!(!arrivals.look(&charge, 1000).admitted, "an answer that was overtaken changes nothing");
        assert!(arrivals.look(&charge, 1000 + gcra().cost_us).admitted);
        let turned_back = 1000 - 10 * gcra().horizon_us;
        assert_eq!(arrivals.look(&charge, turned_back).backlogs_us[0], gcra().horizon_us, "never beyond the horizon");
    }
}
