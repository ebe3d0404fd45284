//! Alerts for an operator. An alert is a counter for the rules of a monitoring system, a log line at `error` that is marked
//! as an alert, and a message to the on-call service, if one is configured. Line and message are rate-limited per subject;
//! the counter is not.
//!
//! The server detects the end of some conditions, and resolves their incidents at the on-call service ([`Alerts::resolve`],
//! [`Alerts::credentials_accepted`]). A remedy often includes a restart, so the first success also resolves an alert that an
//! earlier process may have raised. Operators close all other incidents.

use std::{
    fmt::Display,
    sync::Arc,
    time::{Duration, Instant},
};

use moka::{ops::compute::Op, sync::Cache};
use tokio::sync::mpsc;

/// The minimum time between two log lines about the same subject.
pub(crate) const LOG_INTERVAL: Duration = Duration::from_secs(15 * 60);
/// The time since the last rejection of credentials after which a success counts: credentials may be valid for some calls and
/// not for others.
const COOLDOWN: Duration = Duration::from_secs(5 * 60);
/// The maximum number of remembered subjects; beyond it, some are logged again earlier.
const MAX_SUBJECTS: u64 = 10_000;

/// Makes the counter of an alert exist before the first one, because a counter that begins at 1 shows no increase.
pub(crate) fn register(provider: &'static str, cause: &'static str) {
    metrics::counter!("mainstay_alerts_total", "provider" => provider, "cause" => cause).increment(0);
}

/// The alerts of a server. Clones share the rate limit and the receiver; the default has no receiver.
#[derive(Debug, Clone, Default)]
pub struct Alerts(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    recent: RecentAlerts,
    /// `None`: alerts are counted and logged only.
    sink: Option<mpsc::Sender<Alert>>,
}

impl Alerts {
    /// Creates alerts with their receiver, which ends with the last clone.
    pub(crate) fn with_receiver() -> (Self, mpsc::Receiver<Alert>) {
        let (sink, alerts) = mpsc::channel(QUEUE_CAPACITY);
        (Self(Arc::new(Shared { sink: Some(sink), ..Shared::default() })), alerts)
    }

    /// Raises an alert with a provider, one of its causes, a subject and a detail. Log lines are rate-limited by provider,
    /// cause and subject; the detail does not count.
    pub fn raise(&self, provider: &'static str, cause: &'static str, subject: impl Display, detail: &str) {
        metrics::counter!("mainstay_alerts_total", "provider" => provider, "cause" => cause).increment(1);
        let subject = subject.to_string();
        if self.0.recent.should_log((provider, cause, subject.clone()), Instant::now()) {
            tracing::error!(alert = cause, provider, subject, detail, "on-call: an operator is needed");
            self.send(Alert { provider, cause, subject, event: AlertEvent::Raised { detail: detail.to_owned() } });
        }
    }

    /// Resolves the incident of an alert. Has no effect if this server has resolved it since it last raised the alert.
    pub fn resolve(&self, provider: &'static str, cause: &'static str, subject: impl Display) {
        self.end(provider, cause, subject.to_string(), Duration::ZERO);
    }

    /// Records that a provider has accepted the credentials, which resolves an alert about them after five minutes without one.
    pub fn credentials_accepted(&self, provider: &'static str) {
        self.end(provider, "auth", "credentials".to_owned(), COOLDOWN);
    }

    fn end(&self, provider: &'static str, cause: &'static str, subject: String, cooldown: Duration) {
        if self.0.recent.should_resolve((provider, cause, subject.clone()), Instant::now(), cooldown) {
            tracing::debug!(cause, provider, subject, "there is no reason for an alert any more");
            self.send(Alert { provider, cause, subject, event: AlertEvent::Resolved });
        }
    }

    fn send(&self, alert: Alert) {
        if let Some(Err(error)) = self.0.sink.as_ref().map(|sink| sink.try_send(alert)) {
            error.into_inner().give_up("too many alerts wait");
        }
    }
}

#[derive(Debug)]
pub(crate) struct Alert {
    pub(crate) provider: &'static str,
    pub(crate) cause: &'static str,
    pub(crate) subject: String,
    pub(crate) event: AlertEvent,
}

#[derive(Debug)]
pub(crate) enum AlertEvent {
    Raised { detail: String },
    Resolved,
}

impl Alert {
    /// Records that the on-call service did not receive it. For an end, a log line suffices, because the incident is open.
    pub(crate) fn give_up(&self, why: &str) {
        match self.event {
            AlertEvent::Raised { .. } => {
                metrics::counter!("mainstay_alerts_undelivered_total").increment(1);
                tracing::error!(why, "the on-call service did not accept an alert");
            }
            AlertEvent::Resolved => tracing::warn!(why, "the on-call service did not accept the end of an alert"),
        }
    }
}

const QUEUE_CAPACITY: usize = 1000;

/// The provider, the cause and the subject.
type AlertKey = (&'static str, &'static str, String);

#[derive(Debug, Clone, Copy)]
struct AlertState {
    is_open: bool,
    logged_at: Instant,
    raised_at: Instant,
}

#[derive(Debug)]
struct RecentAlerts(Cache<AlertKey, AlertState>);

impl Default for RecentAlerts {
    fn default() -> Self {
        Self(Cache::new(MAX_SUBJECTS))
    }
}

impl RecentAlerts {
    /// Records an alert and returns whether it was not logged recently. Of concurrent calls, only one returns `true`.
    fn should_log(&self, key: AlertKey, now: Instant) -> bool {
        let mut should_log = false;
        self.0.entry(key).and_compute_with(|entry| {
            let last = entry.map(|entry| entry.into_value()).filter(|state| state.is_open);
            let logged = last.map(|state| state.logged_at).filter(|logged| now.duration_since(*logged) < LOG_INTERVAL);
            should_log = logged.is_none();
            Op::Put(AlertState { is_open: true, logged_at: logged.unwrap_or(now), raised_at: now })
        });
        should_log
    }

    /// Records the end of an alert, and returns whether to report it: the alert was raised here, at least `cooldown` ago, or is
    /// unknown. Of concurrent calls, only one returns `true`.
    fn should_resolve(&self, key: AlertKey, now: Instant, cooldown: Duration) -> bool {
        // Most calls end here, at each success of a provider.
        if self.0.get(&key).is_some_and(|state| !state.is_open) {
            return false;
        }
        let mut should_resolve = false;
        self.0.entry(key).and_compute_with(|entry| {
            let state = entry.map(|entry| entry.into_value());
            should_resolve = state.is_none_or(|state| state.is_open && now.duration_since(state.raised_at) >= cooldown);
            if should_resolve {
                Op::Put(AlertState { is_open: false, logged_at: now, raised_at: now })
            } else {
                Op::Nop
            }
        });
        should_resolve
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
    fn an_alert_is_resolved_once_and_after_the_cooldown() {
        let (alerts, now) = (RecentAlerts::default(), Instant::now());
        let one = || ("test", "auth", "credentials".to_owned());
        let raise = |after| alerts.should_log(one(), now + Duration::from_secs(after));
        let end = |after, cooldown| alerts.should_resolve(one(), now + Duration::from_secs(after), cooldown);
        assert!(end(0, COOLDOWN) && !end(1, COOLDOWN), "of an alert that another process may have raised, once");
        assert!(raise(2) && !raise(3), "an alert after the end of another one is new");
        assert!(!end(4, COOLDOWN) && !end(302, COOLDOWN), "it was just raised");
        assert!(end(303, COOLDOWN) && !end(304, COOLDOWN));
        assert!(raise(305) && end(305, Duration::ZERO) && raise(305), "what is certain needs no cooldown");
        assert!(!raise(1204) && raise(1205), "the end is forgotten with the next alert");
    }

    #[test]
    fn the_memory_is_bounded() {
        let alerts = RecentAlerts::default();
        for number in 0..2 * MAX_SUBJECTS {
            alerts.should_log(("test", "mismatch", number.to_string()), Instant::now());
        }
        alerts.0.run_pending_tasks();
        assert!(alerts.0.entry_count() <= MAX_SUBJECTS, "{}", alerts.0.entry_count());
    }
}
