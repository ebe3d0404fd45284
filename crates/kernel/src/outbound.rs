//! Outbound calls to providers: an HTTP client in layers that contain the effects of a provider's failure. Outermost
//! first:
//!
//! ```text
//!   Timeout         the rest of the caller's deadline, for all attempts and waits
//!   Retry           retries transient failures, with full jitter, under a budget that a total outage exhausts
//!   BreakCircuit    sends nothing while the provider is known to be unavailable
//!   Bulkhead        limits concurrency: a slow provider does not hold up other work
//!   Observe         metrics of every attempt, and the on-call alert
//!   Timeout         the time limit of one attempt
//!   Classify        limits the response size, and converts failures to typed errors
//!   transport       HTTP/1.1 or 2, TLS with the system's root certificates
//! ```
//!
//! An [`Error`] states whether the provider may have acted. A request that was not sent or was rejected can safely be
//! replaced by another one. Otherwise the outcome is unknown, and only the provider can tell it.

mod breaker;
mod bulkhead;
mod classify;
mod error;
mod guard;
mod middleware;
mod observe;
mod receivers;
mod retry;
mod span;
#[cfg(test)]
mod tests;
mod time;
pub(crate) mod transport;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use tower::{ServiceBuilder, ServiceExt as _, util::BoxCloneSyncService};

pub use error::{Error, Kind};
pub use observe::Confidential;
pub use receivers::Receivers;

// `breaker` and `span` also serve providers without HTTP.
pub use breaker::breaker;
pub use span::{Call, traced};

use crate::{
    alert::Alerts,
    breaker::{Breaker, Circuit},
};
use middleware::MiddlewareLayer;
use transport::Transport;

/// A complete request. The client retries it only if a retry is safe: a safe method, or an `Idempotency-Key`.
pub type Request = http::Request<Bytes>;
/// A complete successful response.
pub type Response = http::Response<Bytes>;

/// The limits of calls to one provider.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The time limit of a call with all its attempts. The caller's deadline may shorten it.
    pub total: Duration,
    /// The time limit of one attempt.
    pub attempt_timeout: Duration,
    /// The maximum number of concurrent calls.
    pub max_concurrency: usize,
    /// The maximum number of attempts per call.
    pub max_attempts: u32,
}

/// A client of one provider. Cheap to clone; clones share the circuit, the budget and the slots.
#[derive(Clone)]
pub struct Client {
    provider: &'static str,
    breaker: Arc<Breaker>,
    stack: BoxCloneSyncService<Request, Response, Error>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("provider", &self.provider).field("circuit", &self.circuit()).finish()
    }
}

/// The maximum size of a provider's response, in bytes.
const MAX_ANSWER_BYTES: usize = 4 << 20;

impl Client {
    /// Creates a client that uses the network. It raises an alert when the provider rejects the credentials.
    ///
    /// # Errors
    /// If the system has no root certificates.
    pub fn new(provider: &'static str, bounds: Bounds, alerts: &Alerts) -> anyhow::Result<Self> {
        Ok(Self::over(provider, bounds, transport::new()?, alerts))
    }

    /// Creates a client with any transport.
    pub(crate) fn over(provider: &'static str, bounds: Bounds, transport: Transport, alerts: &Alerts) -> Self {
        let breaker = breaker(provider);
        let stack = ServiceBuilder::new()
            .layer(MiddlewareLayer(time::Timeout { provider, limit: bounds.total, within_deadline: true }))
            .layer(MiddlewareLayer(retry::Retry::new(provider, bounds.max_attempts)))
            .layer(MiddlewareLayer(breaker::BreakCircuit { provider, breaker: breaker.clone() }))
            .layer(MiddlewareLayer(bulkhead::Bulkhead::new(provider, bounds.max_concurrency)))
            .layer(MiddlewareLayer(observe::Observe::new(provider, alerts.clone())))
            .layer(MiddlewareLayer(time::Timeout { provider, limit: bounds.attempt_timeout, within_deadline: false }))
            .layer(classify::Classify { provider, max_answer: Some(MAX_ANSWER_BYTES) })
            .service(transport);
        Self { provider, breaker, stack: BoxCloneSyncService::new(stack) }
    }

    /// Sends a request and reads the complete response.
    ///
    /// # Errors
    /// An unsuccessful response, or no response.
    pub async fn send(&self, request: Request) -> Result<Response, Error> {
        self.stack.clone().oneshot(request).await
    }

    /// Returns the state of the circuit, for health checks and for callers that must not begin work that can't be
    /// completed.
    pub fn circuit(&self) -> Circuit {
        self.breaker.state()
    }
}
