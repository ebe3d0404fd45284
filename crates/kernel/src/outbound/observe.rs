//! Records metrics of every attempt; of a [`Confidential`] one, only failures of the provider. Raises an alert when the
//! provider rejects the credentials, and resolves it when the provider accepts them again.

use metrics::{counter, histogram};
use tokio::time::Instant;

use crate::{
    alert::Alerts,
    outbound::{Error, Kind, Request, Response},
    telemetry::metrics::KERNEL_METRICS,
};

const OUTCOMES: [&str; 6] = ["ok", "rate_limited", "auth", "rejected", "unavailable", "timed_out"];

/// An extension of a request that the metrics must not reveal: neither its existence, nor its rejection by the provider. The
/// log has a line of each failure.
#[derive(Debug, Clone, Copy)]
pub struct Confidential;

impl Confidential {
    pub(super) fn is_set(request: &Request) -> bool {
        request.extensions().get::<Self>().is_some()
    }

    /// Returns whether the outcome of such an attempt, by its name in the metrics, is counted: only outcomes that show nothing
    /// but a failure of the provider.
    pub fn is_counted(outcome: &str) -> bool {
        !matches!(outcome, "ok" | "rejected")
    }
}

#[derive(Debug)]
pub(super) struct Observer {
    provider: &'static str,
    alerts: Alerts,
}

impl Observer {
    pub(super) fn new(provider: &'static str, alerts: Alerts) -> Self {
        KERNEL_METRICS.iter().for_each(|metric| metric.touch("provider", provider));
        for outcome in OUTCOMES {
            counter!("mainstay_outbound_attempts_total", "provider" => provider, "outcome" => outcome).increment(0);
        }
        Self { provider, alerts }
    }

    pub(super) fn record(&self, is_confidential: bool, began: Instant, result: &Result<Response, Error>) {
        let provider = self.provider;
        let outcome = result.as_ref().map_or_else(|error| error.kind.name(), |_| "ok");
        if !is_confidential || Confidential::is_counted(outcome) {
            counter!("mainstay_outbound_attempts_total", "provider" => provider, "outcome" => outcome).increment(1);
            histogram!("mainstay_outbound_attempt_seconds", "provider" => provider).record(began.elapsed());
        }
        match result {
            Err(error) if error.kind == Kind::Auth => {
                self.alerts.raise(provider, "auth", "credentials", &error.to_string());
            }
            Err(error) => tracing::warn!(provider, %error, "an outbound call failed"),
            Ok(_) => self.alerts.credentials_accepted(provider),
        }
    }
}
