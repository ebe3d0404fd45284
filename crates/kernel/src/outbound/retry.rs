//! Retries of transient failures, with full jitter and a retry budget.
//!
//! The wait before each attempt is a random part of an exponentially growing bound (full jitter), so that callers that
//! failed together do not retry together. A `Retry-After` of the provider is the minimum. The budget is a token bucket
//! that only successes fill: a tenth of a retry per successful response, up to ten retries. A provider in a total
//! outage therefore receives at most ten extra requests, regardless of the number of callers. Otherwise retries are at
//! most a tenth of the traffic.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use rand::Rng as _;

use crate::outbound::{Error, Kind, Request};

/// The bound of the first wait. Each attempt doubles it.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The maximum of the bound.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// The gain of the budget by a successful response, and the cost of a retry.
const EARNED: u32 = 1;
const COST: u32 = 10;
/// The capacity of the budget, which is the initial level.
const BUDGET: u32 = 10 * COST;

#[derive(Debug)]
pub(super) struct Budget(AtomicU32);

impl Default for Budget {
    fn default() -> Self {
        Self(AtomicU32::new(BUDGET))
    }
}

impl Budget {
    pub(super) fn earn(&self) {
        let earn = |level: u32| (level < BUDGET).then(|| (level + EARNED).min(BUDGET));
        // A full bucket stays unchanged.
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, earn).ok();
    }

    /// Takes the cost of a retry. Returns `false` if too little is left.
    pub(super) fn spend(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |level| level.checked_sub(COST)).is_ok()
    }
}

/// Returns the wait before the next attempt, or `None` if a retry is useless or unsafe.
pub(super) fn wait(request: &Request, error: &Error, attempts: u32) -> Option<Duration> {
    let passes = matches!(error.kind, Kind::RateLimited | Kind::Unavailable | Kind::TimedOut);
    // The provider would replay a replayed failure again.
    if !passes || error.is_replay() || !is_repeatable(request) {
        return None;
    }
    let retry_after = error.retry_after.unwrap_or_default();
    let bound = FIRST_WAIT.saturating_mul(1 << (attempts - 1).min(10)).min(LONGEST_WAIT);
    #[expect(clippy::disallowed_methods, reason = "jitter, which nothing depends on")]
    let jitter = bound.mul_f64(rand::rng().random_range(0.0..1.0));
    // A call is not retried if the provider asks for a longer wait.
    (retry_after <= LONGEST_WAIT).then(|| retry_after + jitter)
}

/// Returns whether the request can be repeated: it has a safe method (RFC 9110, section 9.2.1) or an idempotency key.
fn is_repeatable(request: &Request) -> bool {
    request.method().is_safe() || request.headers().contains_key("idempotency-key")
}
