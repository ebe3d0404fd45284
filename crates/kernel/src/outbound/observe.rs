//! Records metrics of every attempt; of a [`Confidential`] one, only failures of the provider. Raises an alert when the
//! provider rejects the credentials, and resolves it when the provider accepts them again.

use metrics::{counter, histogram};
use tokio::time::Instant;

use crate::{
    alert::Alerts,
    outbound::{
        Kind, Request,
        middleware::{Middleware, Next, ResponseFuture},
    },
    telemetry::metrics::KERNEL_METRICS,
};

/// The outcomes of an attempt.
const OUTCOMES: [&str; 6] = ["ok", "rate_limited", "auth", "rejected", "unavailable", "timed_out"];

/// An extension of a request that the metrics must not reveal: neither its existence, nor its rejection by the provider. The
/// log has a line of each failure.
#[derive(Debug, Clone, Copy)]
pub struct Confidential;

impl Confidential {
    /// Returns whether the outcome of such an attempt, by its name in the metrics, is counted: only outcomes that show nothing
    /// but a failure of the provider.
    pub fn is_counted(outcome: &str) -> bool {
        !matches!(outcome, "ok" | "rejected")
    }
}

/// Observes the calls to one provider.
#[derive(Debug, Clone)]
pub(crate) struct Observe {
    provider: &'static str,
    alerts: Alerts,
}

impl Observe {
    pub(crate) fn new(provider: &'static str, alerts: Alerts) -> Self {
        KERNEL_METRICS.iter().for_each(|metric| metric.touch("provider", provider));
        for outcome in OUTCOMES {
            counter!("mainstay_outbound_attempts_total", "provider" => provider, "outcome" => outcome).increment(0);
        }
        Self { provider, alerts }
    }
}

impl<S: Next> Middleware<Request, S> for Observe {
    fn handle(&self, request: Request, next: &mut S) -> ResponseFuture {
        let (this, next) = (self.clone(), next.clone());
        Box::pin(async move {
            let began = Instant::now();
            let is_confidential = request.extensions().get::<Confidential>().is_some();
            let result = next.run(request).await;
            let outcome = result.as_ref().map_or_else(|error| error.kind.name(), |_| "ok");
            if !is_confidential || Confidential::is_counted(outcome) {
                counter!("mainstay_outbound_attempts_total", "provider" => this.provider, "outcome" => outcome)
                    .increment(1);
                histogram!("mainstay_outbound_attempt_seconds", "provider" => this.provider).record(began.elapsed());
            }
            match &result {
                Err(error) if error.kind == Kind::Auth => {
                    this.alerts.raise(this.provider, "auth", "credentials", &error.to_string())
                }
                Err(error) => tracing::warn!(provider = this.provider, %error, "an outbound call failed"),
                Ok(_) => this.alerts.credentials_accepted(this.provider),
            }
            result
        })
    }
}
