//! What somebody has to get up for. An alert is a counter, for the rules of a monitoring system, and a line in the log
//! at `error`, marked as an alert; the line is said once in a while, however often the cause is met.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Between two lines about the same thing.
const QUIET: Duration = Duration::from_secs(15 * 60);

/// One thing to be woken up for.
#[derive(Debug)]
pub(crate) struct Alert {
    provider: &'static str,
    cause: &'static str,
    said: Mutex<Option<Instant>>,
}

impl Alert {
    pub(crate) fn new(provider: &'static str, cause: &'static str) -> Self {
        Self { provider, cause, said: Mutex::new(None) }
    }

    /// Raises it. Returns whether a line was said.
    pub(super) fn raise_at(&self, now: Instant, detail: &str) -> bool {
        metrics::counter!("mainstay_alerts_total", "provider" => self.provider, "cause" => self.cause).increment(1);
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_some_and(|last| now.duration_since(last) < QUIET) {
            return false;
        }
        *said = Some(now);
        tracing::error!(alert = self.cause, provider = self.provider, detail, "on-call: a person is needed");
        true
    }

    /// Raises it now.
    pub(crate) fn raise(&self, detail: &str) {
        self.raise_at(Instant::now(), detail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_in_a_while() {
        let (alert, now) = (Alert::new("test", "auth"), Instant::now());
        let said = |after: u64| alert.raise_at(now + Duration::from_secs(after), "401");
        assert_eq!([said(0), said(1), said(899), said(900), said(901)], [true, false, false, true, false]);
    }
}
