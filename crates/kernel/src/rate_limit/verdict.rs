//! The outcome of charges, and the limit state that is reported to the caller.

use std::time::Duration;

use crate::rate_limit::{gcra::Gcra, policy::PolicyId};

/// The most charges per request: its principal, its network, and the network's site.
pub(crate) const MAX_CHARGES: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) is_admitted: bool,
    /// The time by which each key's arrival time is ahead of now.
    pub(crate) backlogs_us: [i64; MAX_CHARGES],
}

impl Default for Verdict {
    fn default() -> Self {
        Self { is_admitted: true, backlogs_us: [0; MAX_CHARGES] }
    }
}

/// Whether a request is admitted, and the present state of its limit. With several limits, it describes the one that
/// rejects, or else the one with the least remaining requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Decision {
    /// Whether the request is admitted.
    pub allowed: bool,
    /// The number of further requests that would be admitted now; 0 for a rejected request.
    pub remaining: u32,
    /// For a rejected request the time until one is admitted; otherwise the time until the limit is fully reset.
    pub reset: Duration,
    /// For a rejected request the time until one is admitted if no other comes between, rounded up to milliseconds.
    pub retry_after: Option<Duration>,
    /// The described limit.
    pub policy: PolicyId,
}

impl Decision {
    pub(crate) fn deny(policy: PolicyId, wait_us: i64) -> Self {
        let wait = Duration::from_millis(wait_us.unsigned_abs().div_ceil(1000).max(1));
        Self { allowed: false, remaining: 0, reset: wait, retry_after: Some(wait), policy }
    }

    pub(crate) fn allow(policy: PolicyId, remaining: u32, reset: Duration) -> Self {
        Self { allowed: true, remaining, reset, retry_after: None, policy }
    }

    /// Returns the decision of one charge, if that charge determined the verdict.
    pub(crate) fn of(verdict: &Verdict, policy: PolicyId, gcra: Gcra, backlog_us: i64) -> Option<Self> {
        if verdict.is_admitted {
            let reset = Duration::from_micros(backlog_us.unsigned_abs());
            return Some(Self::allow(policy, gcra.remaining(backlog_us), reset));
        }
        Some(gcra.wait_us(backlog_us)).filter(|&wait_us| wait_us > 0).map(|wait_us| Self::deny(policy, wait_us))
    }

    pub(crate) fn tighter(self, other: Self) -> Self {
        let rank = |decision: &Self| (decision.remaining, std::cmp::Reverse(decision.reset));
        if rank(&other) < rank(&self) { other } else { self }
    }
}
