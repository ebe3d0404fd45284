//! Backoff and logging of the worker's and the schedule's loops while Postgres is unavailable. The waits grow, and one
//! line is logged per interval.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rand::Rng as _;

use crate::error::Error;

/// The shortest time between two log lines.
const QUIET: Duration = Duration::from_secs(30);
/// The first wait. Each failure doubles it.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Adds jitter to a wait, so that workers that began together do not act together.
pub(crate) fn add_jitter(wait: Duration) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "jitter, which nothing depends on")]
    wait.mul_f64(rand::rng().random_range(0.75..1.25))
}

/// An outage of Postgres, shared by the loops of a worker.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outage(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    current: Option<Current>,
    /// The time of the last log line, across outages. If some statements fail and others succeed, each failure begins
    /// an outage and each success ends it.
    logged_at: Option<Instant>,
}

#[derive(Debug)]
struct Current {
    at: Instant,
    is_logged: bool,
    wait: Duration,
}

impl Outage {
    /// Records a failure, and returns the time to wait.
    pub(crate) fn record_failure(&self, what: &'static str, error: &Error) -> Duration {
        let (wait, should_log) = self.record(Instant::now());
        if should_log {
            tracing::warn!(error = error.detail(), "{what}; this worker waits");
        }
        add_jitter(wait)
    }

    fn record(&self, now: Instant) -> (Duration, bool) {
        let mut state = self.0.lock();
        let should_log = state.logged_at.is_none_or(|at| now.duration_since(at) >= QUIET);
        if should_log {
            state.logged_at = Some(now);
        }
        let (at, is_logged, wait) = match &state.current {
            Some(current) => (current.at, current.is_logged, (current.wait * 2).min(LONGEST_WAIT)),
            None => (now, false, FIRST_WAIT),
        };
        state.current = Some(Current { at, is_logged: is_logged || should_log, wait });
        (wait, should_log)
    }

    /// Records that Postgres answers.
    pub(crate) fn end(&self) {
        let current = self.0.lock().current.take();
        if let Some(current) = current.filter(|current| current.is_logged) {
            tracing::info!(seconds = current.at.elapsed().as_secs(), "this worker resumed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_reported_once_per_interval_and_the_waits_are_bounded() {
        let (outage, now) = (Outage::default(), Instant::now());
        let (mut lines, mut elapsed) = (0, Duration::ZERO);
        // Three loops fail for ten minutes.
        while elapsed < Duration::from_secs(600) {
            for _ in 0..3 {
                let (wait, should_log) = outage.record(now + elapsed);
                lines += u32::from(should_log);
                assert!((FIRST_WAIT..=LONGEST_WAIT).contains(&wait));
            }
            elapsed += Duration::from_secs(5);
        }
        assert_eq!(lines, 20);
        outage.end();
        assert_eq!(outage.record(now + elapsed), (FIRST_WAIT, true));
    }

    #[test]
    fn outages_that_follow_each_other_are_reported_once_per_interval() {
        let (outage, now) = (Outage::default(), Instant::now());
        let lines = (0..600).filter(|second| {
            let (wait, should_log) = outage.record(now + Duration::from_secs(*second));
            outage.end();
            assert_eq!(wait, FIRST_WAIT);
            should_log
        });
        assert_eq!(lines.count(), 20);
    }
}
