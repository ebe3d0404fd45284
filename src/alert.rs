//! Alerts for an operator. An alert is a counter, for the rules of a monitoring system, and a log line at `error`,
//! marked as an alert. The log line is rate-limited per subject; the counter is not.

use std::{
    fmt::Display,
    sync::LazyLock,
    time::{Duration, Instant},
};

use moka::{ops::compute::Op, sync::Cache};

/// The minimum time between two log lines about the same subject.
const QUIET: Duration = Duration::from_secs(15 * 60);
/// The number of subjects remembered; beyond it, some are logged again sooner.
const REMEMBERED: u64 = 10_000;

/// The alerts about payments, with the provider `gateway`, in the order of docs/operations.md.
const GATEWAY_CAUSES: [&str; 9] = [
    "other_gateway",
    "unsettled",
    "moved_twice",
    "mismatch",
    "unknown_payment",
    "refunds_differ",
    "refund_returned",
    "customer_missing",
    "subscribed_twice",
];

/// Makes the counters exist before the first alert: a monitoring system sees no increase in a series that begins at 1.
pub(crate) fn register() {
    let gateway = GATEWAY_CAUSES.map(|cause| ("gateway", cause));
    let credentials = ["stripe", "mail", "mail_fallback"].map(|provider| (provider, "auth"));
    for (provider, cause) in gateway.into_iter().chain(credentials) {
        metrics::counter!("mainstay_alerts_total", "provider" => provider, "cause" => cause).increment(0);
    }
}

static SAID: LazyLock<Said> = LazyLock::new(Said::default);

/// Raises an alert with a provider, one of its causes, a subject and a detail. Log lines are rate-limited by provider,
/// cause and subject; the detail does not count.
pub(crate) fn raise(provider: &'static str, cause: &'static str, subject: impl Display, detail: &str) {
    metrics::counter!("mainstay_alerts_total", "provider" => provider, "cause" => cause).increment(1);
    let subject = subject.to_string();
    if SAID.is_news((provider, cause, subject.clone()), Instant::now()) {
        tracing::error!(alert = cause, provider, subject, detail, "on-call: an operator is needed");
    }
}

type Thing = (&'static str, &'static str, String);

/// The alerts logged recently, and when.
#[derive(Debug)]
struct Said(Cache<Thing, Instant>);

impl Default for Said {
    fn default() -> Self {
        Self(Cache::new(REMEMBERED))
    }
}

impl Said {
    /// Records an alert and returns whether it was not logged recently. Of concurrent calls, only one returns `true`.
    fn is_news(&self, thing: Thing, now: Instant) -> bool {
        let mut is_news = false;
        self.0.entry(thing).and_compute_with(|said| {
            is_news = said.is_none_or(|said| now.duration_since(said.into_value()) >= QUIET);
            if is_news { Op::Put(now) } else { Op::Nop }
        });
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_is_documented() {
        let document = include_str!("../docs/operations.md");
        for cause in GATEWAY_CAUSES {
            assert!(document.contains(&format!("| `gateway`, `{cause}` |")), "{cause}");
        }
        let documented = document.matches("\n| `gateway`, `").count();
        assert_eq!(documented, GATEWAY_CAUSES.len(), "a documented alert is not registered");
    }

    #[test]
    fn log_lines_are_rate_limited() {
        let (said, now) = (Said::default(), Instant::now());
        let at = |after: u64, cause, subject: &str| {
            said.is_news(("test", cause, subject.to_owned()), now + Duration::from_secs(after))
        };
        let one = [0, 1, 899, 900, 901].map(|after| at(after, "mismatch", "one"));
        assert_eq!(one, [true, false, false, true, false]);
        assert!(at(901, "mismatch", "other") && at(901, "auth", "one"), "another subject, another cause");
    }

    #[test]
    fn the_memory_is_bounded() {
        let said = Said::default();
        for number in 0..2 * REMEMBERED {
            said.is_news(("test", "mismatch", number.to_string()), Instant::now());
        }
        said.0.run_pending_tasks();
        assert!(said.0.entry_count() <= REMEMBERED, "{}", said.0.entry_count());
    }
}
