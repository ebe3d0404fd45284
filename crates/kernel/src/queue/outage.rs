//! What the loops of a worker, and of the schedule, do while Postgres is unavailable: they wait, ever longer, and say so once per interval.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rand::Rng as _;

use crate::error::Error;

/// The minimum time between two log lines.
const QUIET: Duration = Duration::from_secs(30);
/// The first wait; it doubles with each failure.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Spreads a wait, so that workers that began together do not act together.
pub(crate) fn add_jitter(wait: Duration) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "jitter, which nothing depends on")]
    wait.mul_f64(rand::rng().random_range(0.75..1.25))
}

/// An outage that the loops of a worker share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outage(Arc<Mutex<Option<Current>>>);

#[derive(Debug)]
struct Current {
    at: Instant,
    logged_at: Instant,
    wait: Duration,
}

impl Outage {
    /// Notes a failure; returns how long to wait.
    pub(crate) fn record_failure(&self, what: &'static str, error: &Error) -> Duration {
        let (wait, should_log) = self.note(Instant::now());
        if should_log {
            tracing::warn!(error = error.detail(), "{what}; this worker waits");
        }
        add_jitter(wait)
    }

    fn note(&self, now: Instant) -> (Duration, bool) {
        let mut outage = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(current) = &mut *outage else {
            *outage = Some(Current { at: now, logged_at: now, wait: FIRST_WAIT });
            return (FIRST_WAIT, true);
        };
        current.wait = (current.wait * 2).min(LONGEST_WAIT);
        let should_log = now.duration_since(current.logged_at) >= QUIET;
        if should_log {
            current.logged_at = now;
        }
        (current.wait, should_log)
    }

    /// Notes that Postgres answers.
    pub(crate) fn end(&self) {
        let current = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(current) = current {
            tracing::info!(seconds = current.at.elapsed().as_secs(), "this worker works again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_reported_once_per_interval_and_the_waits_are_bounded() {
        let (outage, now) = (Outage::default(), Instant::now());
        let (mut lines, mut waited) = (0, Duration::ZERO);
        // Three loops fail for ten minutes.
        while waited < Duration::from_secs(600) {
            for _ in 0..3 {
                let (wait, should_log) = outage.note(now + waited);
                lines += u32::from(should_log);
                assert!((FIRST_WAIT..=LONGEST_WAIT).contains(&wait));
            }
            waited += Duration::from_secs(5);
        }
        assert_eq!(lines, 20);
        outage.end();
        assert_eq!(outage.note(now + waited), (FIRST_WAIT, true));
    }
}
