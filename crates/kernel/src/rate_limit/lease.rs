//! Requests that Redis has admitted in advance, for this process to spend without asking again.
//!
//! A lease counts as admitted when it is granted, so the limit holds over all instances whatever becomes of it: what is
//! not spent in [`LIFE_US`] is lost. A caller who needs more than one request in that time is leased twice as many the
//! next time, up to [`MAX_SIZE`]; one who leaves some is leased what was spent. Redis grants at most a quarter of what
//! is left, so near the limit every request asks, and no refusal comes earlier than one lease.

/// How long a lease may be spent, in microseconds.
const LIFE_US: i64 = 1_000_000;
/// The largest lease.
const MAX_SIZE: u32 = 64;
/// How long the other requests of a caller ask for themselves only, while one asks for a lease.
const ASKING_US: i64 = 20_000;

/// A lease of one key.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lease {
    remaining: u32,
    size: u32,
    granted_at_us: i64,
    asked_at_us: i64,
}

impl Lease {
    /// Returns how many requests are left.
    pub(crate) fn remaining(&self, now_us: i64) -> u32 {
        if self.is_alive(now_us) { self.remaining } else { 0 }
    }

    /// Spends one, if there is one.
    pub(crate) fn spend(&mut self, now_us: i64) -> bool {
        let has_some = self.remaining(now_us) > 0;
        if has_some {
            self.remaining -= 1;
        }
        has_some
    }

    /// Takes back one that was spent on a request that another limit refused.
    pub(crate) fn refund(&mut self) {
        self.remaining = (self.remaining + 1).min(self.size);
    }

    /// Returns how many requests to ask for.
    pub(crate) fn ask(&mut self, now_us: i64) -> u32 {
        if (now_us - self.asked_at_us).abs() < ASKING_US {
            return 1;
        }
        self.asked_at_us = now_us;
        if self.is_alive(now_us) && self.remaining == 0 {
            self.size.saturating_mul(2).clamp(1, MAX_SIZE)
        } else {
            (self.size - self.remaining).clamp(1, MAX_SIZE)
        }
    }

    /// Notes what was granted, of which one request is spent at once.
    pub(crate) fn grant(&mut self, size: u32, now_us: i64) {
        if size <= 1 && self.is_alive(now_us) {
            return;
        }
        // Another request may have been granted a lease meanwhile: the larger rest stays, as part of its own lease.
        let remaining = size.saturating_sub(1);
        let is_smaller = remaining < self.remaining(now_us);
        *self = if is_smaller {
            Self { asked_at_us: 0, ..*self }
        } else {
            Self { remaining, size, granted_at_us: now_us, asked_at_us: 0 }
        };
    }

    fn is_alive(&self, now_us: i64) -> bool {
        (0..LIFE_US).contains(&(now_us - self.granted_at_us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spends or asks, and is granted what it asks for; returns how many times it asks.
    fn requests(lease: &mut Lease, count: usize, start_us: i64, gap_us: i64) -> usize {
        let mut asks = 0;
        for number in 0..count {
            let now_us = start_us + gap_us * number as i64;
            if !lease.spend(now_us) {
                asks += 1;
                let size = lease.ask(now_us);
                lease.grant(size, now_us);
            }
        }
        asks
    }

    #[test]
    fn a_busy_caller_asks_seldom_and_a_slow_one_takes_no_more_than_it_needs() {
        let mut lease = Lease::default();
        assert!(requests(&mut lease, 1000, 5_000_000, 100) < 1000 / MAX_SIZE as usize + 10);
        // The first of them may still be spent.
        let slow = requests(&mut lease, 10, 10_000_000, 3_000_000);
        assert_eq!((slow, lease.size), (10, 1));
    }

    #[test]
    fn what_is_left_is_lost_in_time() {
        let mut lease = Lease::default();
        lease.grant(10, 7);
        assert_eq!(lease.remaining(7 + LIFE_US - 1), 9);
        assert!(!lease.spend(7 + LIFE_US));
        assert!(!lease.spend(6), "the clock was set back");
        assert!(lease.spend(8));
        lease.refund();
        assert_eq!(lease.remaining(8), 9);
    }

    #[test]
    fn one_of_many_at_once_asks_for_a_lease() {
        let mut lease = Lease::default();
        lease.grant(8, 1_000_000);
        while lease.spend(1_000_001) {}
        let asks: Vec<_> = (0..5).map(|_| lease.ask(1_000_002)).collect();
        assert_eq!(asks, [16, 1, 1, 1, 1]);
    }

    /// As while Redis takes longer than [`ASKING_US`] to answer, and another request asks meanwhile.
    #[test]
    fn of_two_leases_that_cross_the_larger_rest_stays() {
        let mut lease = Lease::default();
        lease.grant(10, 1_000_000);
        lease.grant(2, 1_050_000);
        assert_eq!(lease.remaining(1_050_000), 9);
        lease.refund();
        assert_eq!(lease.remaining(1_050_000), 10, "of the larger lease");
        // It ends in its own time; the next one is for what was spent of it.
        assert!(lease.spend(1_060_000) && lease.spend(1_060_000) && lease.spend(1_060_000));
        assert_eq!(lease.ask(1_000_000 + LIFE_US), 3);
        lease.grant(20, 2_000_000);
        assert_eq!(lease.remaining(2_000_000), 19);
    }
}
