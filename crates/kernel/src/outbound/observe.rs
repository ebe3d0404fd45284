//! Records metrics of every attempt, and raises an alert if the provider rejects our credentials.

use metrics::{counter, histogram};
use tokio::time::Instant;

use crate::{
    alert,
    outbound::{
        Error, Kind, Request, Response,
        middleware::{Middleware, Next},
    },
    telemetry::metrics::touch,
};

/// What an attempt may come to.
const OUTCOMES: [&str; 6] = ["ok", "rate_limited", "auth", "rejected", "unavailable", "timed_out"];

/// Observes the calls to one provider.
#[derive(Debug, Clone)]
pub(crate) struct Observe {
    provider: &'static str,
}

impl Observe {
    pub(crate) fn new(provider: &'static str) -> Self {
        touch("provider", provider);
        for outcome in OUTCOMES {
            counter!("mainstay_outbound_tries_total", "provider" => provider, "outcome" => outcome).increment(0);
        }
        Self { provider }
    }
}

impl Middleware for Observe {
    async fn handle<S: Next>(self, request: Request, next: S) -> Result<Response, Error> {
        let began = Instant::now();
        let result = next.run(request).await;
        let outcome = result.as_ref().map_or_else(|error| error.kind.name(), |_| "ok");
        counter!("mainstay_outbound_tries_total", "provider" => self.provider, "outcome" => outcome).increment(1);
        histogram!("mainstay_outbound_try_seconds", "provider" => self.provider).record(began.elapsed());
        match &result {
            Err(error) if error.kind == Kind::Auth => {
                alert::raise(self.provider, "auth", "credentials", &error.to_string())
            }
            Err(error) => tracing::warn!(provider = self.provider, %error, "an outbound call failed"),
            Ok(_) => {}
        }
        result
    }
}
