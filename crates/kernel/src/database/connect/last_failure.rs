//! Why connections to Postgres fail and end. A request waits for a connection of the pool, which only knows that there was
//! none in time. The log, and the cause of each refused request, contain the reason.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The minimum time between two log lines about the same failure.
const QUIET: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(super) struct LastFailure(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    current: Option<String>,
    failure: Logged,
    loss: Logged,
    expects_loss: bool,
}

#[derive(Debug, Default)]
struct Logged(Option<(Instant, String)>);

impl LastFailure {
    /// Records a failure, and logs it if it is another one than before, and every 30 s.
    pub(super) fn record(&self, text: String) {
        let mut state = self.0.lock();
        if state.failure.is_due(&text, Instant::now()) {
            tracing::warn!("{text}");
        }
        state.current = Some(text);
    }

    /// Logs why an open connection ended, with the same limit: Postgres ends all connections together.
    pub(super) fn record_loss(&self, cause: &str) {
        let mut state = self.0.lock();
        if !state.expects_loss && state.loss.is_due(cause, Instant::now()) {
            tracing::warn!("a connection to Postgres was lost: {cause}");
        }
    }

    pub(super) fn expect_loss(&self) {
        self.0.lock().expects_loss = true;
    }

    pub(super) fn clear(&self) {
        self.0.lock().current = None;
    }

    pub(super) fn get(&self) -> Option<String> {
        self.0.lock().current.clone()
    }
}

impl Logged {
    /// Returns whether to log a text now; the caller then does.
    fn is_due(&mut self, text: &str, now: Instant) -> bool {
        let is_known =
            self.0.as_ref().is_some_and(|(at, logged)| logged == text && now.saturating_duration_since(*at) < QUIET);
        if !is_known {
            self.0 = Some((now, text.to_owned()));
        }
        !is_known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_logged_when_it_changes_and_every_half_minute() {
        let (mut logged, begin) = (Logged::default(), Instant::now());
        let mut record = |failure: &str, seconds| logged.is_due(failure, begin + Duration::from_secs(seconds));
        assert!(record("refused", 0));
        assert!(!record("refused", 29));
        assert!(record("starting", 29));
        assert!(record("refused", 29));
        assert!(!record("refused", 58));
        assert!(record("refused", 59));
    }

    #[test]
    fn a_connection_ends_the_failure_but_not_the_silence() {
        let last = LastFailure::default();
        last.record("refused".to_owned());
        assert_eq!(last.get().as_deref(), Some("refused"));
        last.clear();
        assert_eq!(last.get(), None);
        assert!(!last.0.lock().failure.is_due("refused", Instant::now()), "where every second attempt fails");
    }
}
