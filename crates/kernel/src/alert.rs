//! Alerts for an operator. An alert is a counter, for the rules of a monitoring system, a log line at `error`, marked as
//! an alert, and a message to the on-call service, if there is one. Line and message are rate-limited per subject; the
//! counter is not.

use std::{
    collections::BTreeSet,
    fmt::Display,
    sync::{LazyLock, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use moka::{ops::compute::Op, sync::Cache};
use tokio::sync::mpsc;

/// The minimum time between two log lines about the same subject.
const QUIET: Duration = Duration::from_secs(15 * 60);
/// The number of subjects remembered; beyond it, some are logged again sooner.
const REMEMBERED: u64 = 10_000;

/// Makes the counter of an alert exist before the first one: a monitoring system sees no increase in a series that
/// begins at 1. Modules declare theirs when they are registered.
pub(crate) fn declare(provider: &'static str, cause: &'static str) {
    DECLARED.lock().unwrap_or_else(PoisonError::into_inner).insert((provider, cause));
}

/// Registers the declared counters with the recorder.
pub(crate) fn register() {
    for (provider, cause) in DECLARED.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        metrics::counter!("mainstay_alerts_total", "provider" => *provider, "cause" => *cause).increment(0);
    }
}

static DECLARED: Mutex<BTreeSet<(&str, &str)>> = Mutex::new(BTreeSet::new());

static RECENT: LazyLock<RecentAlerts> = LazyLock::new(RecentAlerts::default);

/// Raises an alert with a provider, one of its causes, a subject and a detail. Log lines are rate-limited by provider,
/// cause and subject; the detail does not count.
pub fn raise(provider: &'static str, cause: &'static str, subject: impl Display, detail: &str) {
    metrics::counter!("mainstay_alerts_total", "provider" => provider, "cause" => cause).increment(1);
    let subject = subject.to_string();
    if RECENT.should_log((provider, cause, subject.clone()), Instant::now()) {
        tracing::error!(alert = cause, provider, subject, detail, "on-call: an operator is needed");
        let alert = Alert { provider, cause, subject, detail: detail.to_owned() };
        if let Some(Err(_)) = SINK.get().map(|sink| sink.try_send(alert)) {
            count_undelivered("too many alerts wait");
        }
    }
}

/// An alert as the on-call service gets it.
#[derive(Debug)]
pub(crate) struct Alert {
    pub(crate) provider: &'static str,
    pub(crate) cause: &'static str,
    pub(crate) subject: String,
    pub(crate) detail: String,
}

/// Alerts that wait for the on-call service.
const WAITING: usize = 1000;

static SINK: OnceLock<mpsc::Sender<Alert>> = OnceLock::new();

/// Returns the alerts from now on; `None` if somebody else has them.
pub(crate) fn subscribe() -> Option<mpsc::Receiver<Alert>> {
    let (sink, alerts) = mpsc::channel(WAITING);
    SINK.set(sink).ok().map(|()| alerts)
}

/// Counts an alert that the on-call service did not get.
pub(crate) fn count_undelivered(why: &str) {
    metrics::counter!("mainstay_alerts_undelivered_total").increment(1);
    tracing::error!(why, "the on-call service did not accept an alert");
}

type Thing = (&'static str, &'static str, String);

/// The alerts logged recently, and when.
#[derive(Debug)]
struct RecentAlerts(Cache<Thing, Instant>);

impl Default for RecentAlerts {
    fn default() -> Self {
        Self(Cache::new(REMEMBERED))
    }
}

impl RecentAlerts {
    /// Records an alert and returns whether it was not logged recently. Of concurrent calls, only one returns `true`.
    fn should_log(&self, thing: Thing, now: Instant) -> bool {
        let mut should_log = false;
        self.0.entry(thing).and_compute_with(|last| {
            should_log = last.is_none_or(|last| now.duration_since(last.into_value()) >= QUIET);
            if should_log { Op::Put(now) } else { Op::Nop }
        });
        should_log
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_lines_are_rate_limited() {
        let (alerts, now) = (RecentAlerts::default(), Instant::now());
        let at = |after: u64, cause, subject: &str| {
            alerts.should_log(("test", cause, subject.to_owned()), now + Duration::from_secs(after))
        };
        let one = [0, 1, 899, 900, 901].map(|after| at(after, "mismatch", "one"));
        assert_eq!(one, [true, false, false, true, false]);
        assert!(at(901, "mismatch", "other") && at(901, "auth", "one"), "another subject, another cause");
    }

    #[test]
    fn the_memory_is_bounded() {
        let alerts = RecentAlerts::default();
        for number in 0..2 * REMEMBERED {
            alerts.should_log(("test", "mismatch", number.to_string()), Instant::now());
        }
        alerts.0.run_pending_tasks();
        assert!(alerts.0.entry_count() <= REMEMBERED, "{}", alerts.0.entry_count());
    }
}
