//! The outcome of a charge, and the limit as reported to the caller.

use std::time::Duration;

use crate::rate_limit::{gcra::Gcra, policy::PolicyId};

/// The maximum number of charges per request: its principal, its network, and the site of that.
pub(crate) const MAX_CHARGES: usize = 3;

/// The outcome of a set of charges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) is_admitted: bool,
    /// How far ahead of now each key's arrival time is.
    pub(crate) backlogs_us: [i64; MAX_CHARGES],
}

impl Default for Verdict {
    fn default() -> Self {
        Self { is_admitted: true, backlogs_us: [0; MAX_CHARGES] }
    }
}

/// Whether a request is admitted, and the current state of its limit. With several limits it describes the one that
/// refuses, or else the one with the least remaining.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Decision {
    /// Whether the request is admitted.
    pub allowed: bool,
    /// How many further requests would be admitted now; 0 when refused.
    pub remaining: u32,
    /// When refused, the time until a request is admitted; else the time until the limit is fully reset.
    pub reset: Duration,
    /// When refused, the time until a request is admitted, if no other comes in between. Rounded up to milliseconds.
    pub retry_after: Option<Duration>,
    /// The limit described.
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

    /// Makes the decision of one charge, if that charge determined the verdict.
    pub(crate) fn of(verdict: &Verdict, policy: PolicyId, gcra: Gcra, backlog_us: i64) -> Option<Self> {
        if verdict.is_admitted {
            let reset = Duration::from_micros(backlog_us.unsigned_abs());
            return Some(Self::allow(policy, gcra.remaining(backlog_us), reset));
        }
        Some(gcra.wait_us(backlog_us)).filter(|&wait_us| wait_us > 0).map(|wait_us| Self::deny(policy, wait_us))
    }

    /// Returns the stricter of two decisions.
    pub(crate) fn tighter(self, other: Self) -> Self {
        let rank = |decision: &Self| (decision.remaining, std::cmp::Reverse(decision.reset));
        if rank(&other) < rank(&self) { other } else { self }
    }
}
