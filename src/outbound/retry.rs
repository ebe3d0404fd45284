//! Again, after what may pass.
//!
//! The wait before each try is a random part of an exponentially growing bound ("full jitter"), so that callers who
//! failed together don't come back together; what the provider asks for by `Retry-After` is waited at least. The budget
//! is a bucket that only success fills: a tenth of a try for each good answer, ten tries at most. So a provider that is
//! away altogether gets no more than ten extra tries, however many callers there are, and in better times retries are
//! at most a tenth of the traffic.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use rand::Rng as _;

use super::{
    Error, Kind, Request, Response,
    middleware::{Middleware, Next},
};

/// The bound of the first wait; it doubles with each try.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The bound grows no further.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// What a good answer adds to the budget, and what a retry costs.
const EARNED: u32 = 1;
const COST: u32 = 10;
/// What the budget holds at most, and at first.
const MOST: u32 = 10 * COST;

/// Retries the calls to one provider.
#[derive(Debug, Clone)]
pub(super) struct Retry {
    provider: &'static str,
    tries: u32,
    budget: Arc<AtomicU32>,
}

impl Retry {
    pub(super) fn new(provider: &'static str, tries: u32) -> Self {
        Self { provider, tries, budget: Arc::new(AtomicU32::new(MOST)) }
    }

    fn earn(&self) {
        let earn = |level: u32| (level < MOST).then(|| (level + EARNED).min(MOST));
        // Nothing to do where the bucket is full.
        self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, earn).ok();
    }

    fn spend(&self) -> bool {
        self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |level| level.checked_sub(COST)).is_ok()
    }
}

impl Middleware for Retry {
    async fn handle<S: Next>(self, request: Request, next: S) -> Result<Response, Error> {
        let mut tried = 0;
        loop {
            let result = next.run(request.clone()).await;
            tried += 1;
            let error = match result {
                Ok(response) => {
                    self.earn();
                    return Ok(response);
                }
                Err(error) => error,
            };
            let Some(wait) = wait(&request, &error, tried) else { return Err(error) };
            if tried >= self.tries || !self.spend() {
                return Err(error);
            }
            metrics::counter!("mainstay_outbound_retries_total", "provider" => self.provider).increment(1);
            tokio::time::sleep(wait).await;
        }
    }
}

/// How long to wait before the next try; `None`: it would be no use, or no good.
fn wait(request: &Request, error: &Error, tried: u32) -> Option<Duration> {
    let passes = matches!(error.kind, Kind::RateLimited | Kind::Unavailable | Kind::TimedOut);
    // A failure that the provider repeats from its memory of the key is repeated each time.
    if !passes || error.is_replay() || !bears_repetition(request) {
        return None;
    }
    let asked = error.retry_after.unwrap_or_default();
    let bound = FIRST_WAIT.saturating_mul(1 << (tried - 1).min(10)).min(LONGEST_WAIT);
    #[expect(clippy::disallowed_methods, reason = "jitter, which nothing depends on")]
    let jitter = bound.mul_f64(rand::rng().random_range(0.0..1.0));
    // A provider that wants to be left alone for longer is left alone by this caller altogether.
    (asked <= LONGEST_WAIT).then(|| asked + jitter)
}

/// Whether doing it twice does it once: a safe method (RFC 9110, 9.2.1), or a key the provider knows it again by.
fn bears_repetition(request: &Request) -> bool {
    request.method().is_safe() || request.headers().contains_key("idempotency-key")
}
