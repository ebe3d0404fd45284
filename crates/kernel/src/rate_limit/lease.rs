//! Leases: requests that Redis has admitted in advance, for this process to spend without a call.
//!
//! A lease counts as admitted when it is granted, so that the limit holds over all instances; an unspent rest is lost
//! after [`LIFE_US`]. A caller that spends a lease within that time gets twice as many requests the next time, up to
//! [`MAX_SIZE`]. A caller that leaves some gets the number that it spent. Redis grants at most a quarter of the
//! remaining quota. Close to the limit, every request therefore needs a call, and a rejection is early by at most one
//! lease.

const LIFE_US: i64 = 1_000_000;
const MAX_SIZE: u32 = 64;
/// The time for which other requests of a caller ask for one request only, while one of them asks for a lease.
const ASKING_US: i64 = 20_000;

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lease {
    remaining: u32,
    size: u32,
    granted_at_us: i64,
    asked_at_us: i64,
}

impl Lease {
    pub(crate) fn remaining(&self, now_us: i64) -> u32 {
        if self.is_alive(now_us) { self.remaining } else { 0 }
    }

    pub(crate) fn spend(&mut self, now_us: i64) -> bool {
        let has_some = self.remaining(now_us) > 0;
        if has_some {
            self.remaining -= 1;
        }
        has_some
    }

    /// Returns a request that was spent although another limit rejected it.
    pub(crate) fn refund(&mut self) {
        self.remaining = (self.remaining + 1).min(self.size);
    }

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

    /// Records a grant, of which one request is spent at once.
    pub(crate) fn grant(&mut self, size: u32, now_us: i64) {
        if size <= 1 && self.is_alive(now_us) {
            return;
        }
        // Another request may have received a lease meanwhile. The larger rest stays, as part of its original lease.
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

    /// Spends or asks, and is granted every request that it asks for. Returns the number of calls.
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
    fn the_rest_of_a_lease_expires() {
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

    /// Redis takes longer than [`ASKING_US`] to answer, and another request asks meanwhile.
    #[test]
    fn of_two_leases_that_cross_the_larger_rest_stays() {
        let mut lease = Lease::default();
        lease.grant(10, 1_000_000);
        lease.grant(2, 1_050_000);
        assert_eq!(lease.remaining(1_050_000), 9);
        lease.refund();
        assert_eq!(lease.remaining(1_050_000), 10, "of the larger lease");
        // The lease ends at its original time, and the next one has the size of what was spent.
        assert!(lease.spend(1_060_000) && lease.spend(1_060_000) && lease.spend(1_060_000));
        assert_eq!(lease.ask(1_000_000 + LIFE_US), 3);
        lease.grant(20, 2_000_000);
        assert_eq!(lease.remaining(2_000_000), 19);
    }
}
