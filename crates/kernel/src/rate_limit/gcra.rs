//! The arithmetic of a rate limit: GCRA, the generic cell rate algorithm (ITU-T I.371, annex A), in whole microseconds.
//!
//! The state of a key is one number, the theoretical arrival time: the time at which the requests admitted so far would
//! have arrived at an even rate. Each admitted request advances it by `cost`. A request that would advance it further
//! than `horizon` ahead of now is rejected and changes nothing. With `cost` = T and `horizon` = b·T, b requests are
//! admitted at once and then one per T.
//!
//! A quota of q requests per w is sustained: T = ⌊w / q⌋, so that one request per T is admitted indefinitely. In
//! addition, a burst of b = ⌈q / 4⌉ is admitted at once. Therefore **a time t never admits more than b + t / T + 1**:
//! after n requests the arrival time has advanced by n·T from at least the start, and it is at most b·T beyond the last
//! admission.

use crate::config::Quota;

/// The largest backward step of the clock after which arrival times hold: a small correction frees no rejected caller.
const MAX_CLOCK_STEP_US: i64 = 1_000_000;

/// A limit for one key. Times are in microseconds, by the clock of the state's owner: Redis or this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gcra {
    /// The advance of the arrival time per request.
    pub(crate) cost_us: i64,
    /// The furthest that the arrival time may be ahead of now.
    pub(crate) horizon_us: i64,
}

impl Gcra {
    pub(crate) fn new(quota: Quota) -> Self {
        let requests = i64::from(quota.requests.max(1));
        let window_us = i64::try_from(quota.window.as_micros()).unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
        let cost_us = (window_us / requests).max(1);
        let burst = (requests + 3) / 4;
        Self { cost_us, horizon_us: cost_us.saturating_mul(burst) }
    }

    /// Returns the share of one of `instances` that do not share state. The horizon stays unchanged, so that an arrival
    /// time from the shared limit keeps its meaning. With more instances than burst, each admits one request at once.
    pub(crate) fn divided(self, instances: u32) -> Self {
        let cost_us = self.cost_us.saturating_mul(i64::from(instances.max(1)));
        Self { cost_us, horizon_us: self.horizon_us.max(cost_us) }
    }

    /// Returns the time by which the arrival time is ahead of now. It can't exceed the horizon, unless the quota was
    /// reduced or the clock was set back. An arrival time more than a second beyond the horizon is ignored: otherwise
    /// the caller would be rejected until the clock catches up, which may take hours.
    pub(crate) fn backlog_us(self, arrives_us: i64, now_us: i64) -> i64 {
        let ahead_us = arrives_us.saturating_sub(now_us);
        if ahead_us > self.horizon_us.saturating_add(MAX_CLOCK_STEP_US) {
            0
        } else {
            ahead_us.clamp(0, self.horizon_us)
        }
    }

    pub(crate) fn remaining(self, backlog_us: i64) -> u32 {
        u32::try_from((self.horizon_us - backlog_us) / self.cost_us).unwrap_or(0)
    }

    /// Returns the time until one request is admitted; 0 if it is admitted now.
    pub(crate) fn wait_us(self, backlog_us: i64) -> i64 {
        (backlog_us + self.cost_us - self.horizon_us).max(0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn quota(requests: u32, window_ms: u64) -> Quota {
        Quota { requests, window: Duration::from_millis(window_ms) }
    }

    /// One instance with separate state.
    struct Instance {
        gcra: Gcra,
        arrives_us: i64,
    }

    impl Instance {
        fn admits(&mut self, now_us: i64) -> bool {
            let backlog = self.gcra.backlog_us(self.arrives_us, now_us);
            let is_admitted = self.gcra.wait_us(backlog) == 0;
            assert_eq!(is_admitted, self.gcra.remaining(backlog) > 0);
            if is_admitted {
                self.arrives_us = now_us + backlog + self.gcra.cost_us;
            }
            is_admitted
        }
    }

    /// Returns whether every interval between two admissions admits at most burst + rate·t + 1.
    fn holds(quota: Quota, admissions: &[i64]) -> bool {
        let gcra = Gcra::new(quota);
        let burst = i64::from(gcra.remaining(0));
        (0..admissions.len()).all(|first| {
            let counts = 1..=(admissions.len() - first) as i64;
            admissions[first..]
                .iter()
                .zip(counts)
                .all(|(at, count)| count <= burst + (at - admissions[first]) / gcra.cost_us + 1)
        })
    }

    #[test]
    fn a_quarter_comes_at_once() {
        for (requests, window_ms, burst, cost_us) in
            [(1, 1000, 1, 1_000_000), (2, 1000, 1, 500_000), (100, 60_000, 25, 600_000), (u32::MAX, 1000, 1 << 30, 1)]
        {
            let gcra = Gcra::new(quota(requests, window_ms));
            assert_eq!((gcra.remaining(0), gcra.cost_us), (burst, cost_us), "{requests}/{window_ms}ms");
        }
    }

    proptest! {
        #[test]
        fn no_time_admits_more_than_the_burst_and_the_rate(
            requests in 1..40u32,
            window_ms in 1..5000u64,
            gaps in prop::collection::vec(prop_oneof![Just(0i64), 0..200_000i64, 0..5_000_000i64], 1..300),
        ) {
            let quota = quota(requests, window_ms);
            let mut alone = Instance { gcra: Gcra::new(quota), arrives_us: 0 };
            let (mut now_us, mut admissions) = (0, Vec::new());
            for gap in gaps {
                now_us += gap;
                if alone.admits(now_us) {
                    admissions.push(now_us);
                }
            }
            prop_assert!(holds(quota, &admissions));
        }

        #[test]
        fn an_eager_caller_gets_the_quota_again_and_again(requests in 1..40u32, window_ms in 1..500u64) {
            let quota = quota(requests, window_ms);
            let mut alone = Instance { gcra: Gcra::new(quota), arrives_us: 0 };
            let (mut now_us, mut admissions) = (0, Vec::new());
            while admissions.len() < 3 * requests as usize {
                if alone.admits(now_us) {
                    admissions.push(now_us);
                } else {
                    let wait = alone.gcra.wait_us(alone.gcra.backlog_us(alone.arrives_us, now_us));
                    prop_assert!(!alone.admits(now_us + wait - 1), "a shorter wait is enough");
                    now_us += wait;
                    prop_assert!(alone.admits(now_us), "the wait was not enough");
                    admissions.push(now_us);
                }
            }
            prop_assert!(holds(quota, &admissions));
            // The header states a sustained rate: the quota in each of three windows, beside the burst.
            prop_assert!(now_us <= 3 * quota.window.as_micros() as i64, "{now_us}");
        }

        #[test]
        fn instances_apart_share_the_quota(
            requests in 2..60u32,
            window_ms in 1..5000u64,
            instances in 1..8u32,
            calls in prop::collection::vec((0..200_000i64, 0..8usize), 1..400),
        ) {
            prop_assume!(instances <= requests.div_ceil(4));
            let quota = quota(requests, window_ms);
            let gcra = Gcra::new(quota).divided(instances);
            let mut all: Vec<_> = (0..instances).map(|_| Instance { gcra, arrives_us: 0 }).collect();
            let (mut now_us, mut admissions) = (0, Vec::new());
            for (gap, instance) in calls {
                now_us += gap;
                if all[instance % instances as usize].admits(now_us) {
                    admissions.push(now_us);
                }
            }
            prop_assert!(holds(quota, &admissions));
        }
    }
}
