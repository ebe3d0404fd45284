//! What became of a request, and what its caller is told of the limit.

use std::time::Duration;

use super::policy::PolicyId;
use crate::ephemeral::gcra::Gcra;

/// The most charges of one request: its address and its principal.
pub(super) const MAX_CHARGES: usize = 2;

/// What became of a set of charges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) admitted: bool,
    /// How far ahead of now each key's arrival time is.
    pub(super) backlogs_us: [i64; MAX_CHARGES],
}

impl Default for Verdict {
    fn default() -> Self {
        Self { admitted: true, backlogs_us: [0; MAX_CHARGES] }
    }
}

/// Whether a request is admitted, and how its limit stands now. With several limits it tells of the one that
/// refuses, or else of the one that leaves least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Decision {
    /// Whether the request may go on.
    pub allowed: bool,
    /// How many more would be admitted now; 0 when refused.
    pub remaining: u32,
    /// When refused, the time until one is admitted; else the time until nothing is counted any more.
    pub reset: Duration,
    /// When refused, the time until one is admitted, if nobody else is in between. Rounded up to milliseconds.
    pub retry_after: Option<Duration>,
    /// The limit it tells of.
    pub policy: PolicyId,
}

impl Decision {
    pub(super) fn refused(policy: PolicyId, wait_us: i64) -> Self {
        let wait = Duration::from_millis(wait_us.unsigned_abs().div_ceil(1000).max(1));
        Self { allowed: false, remaining: 0, reset: wait, retry_after: Some(wait), policy }
    }

    pub(super) fn admitted(policy: PolicyId, remaining: u32, reset: Duration) -> Self {
        Self { allowed: true, remaining, reset, retry_after: None, policy }
    }

    /// Of one of a request's charges, if that charge is what the verdict came from.
    pub(super) fn of(verdict: &Verdict, policy: PolicyId, gcra: Gcra, backlog_us: i64) -> Option<Self> {
        if verdict.admitted {
            let reset = Duration::from_micros(backlog_us.unsigned_abs());
            return Some(Self::admitted(policy, gcra.remaining(backlog_us), reset));
        }
        Some(gcra.wait_us(backlog_us)).filter(|&wait_us| wait_us > 0).map(|wait_us| Self::refused(policy, wait_us))
    }

    /// The one of two that binds the caller more.
    pub(super) fn tighter(self, other: Self) -> Self {
        let rank = |decision: &Self| (decision.remaining, std::cmp::Reverse(decision.reset));
        if rank(&other) < rank(&self) { other } else { self }
    }
}
