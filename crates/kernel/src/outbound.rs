//! Outbound calls to providers: an HTTP client that contains a provider's failure. A call passes, in this order:
//!
//! ```text
//!   total timeout     the rest of the caller's deadline, for all attempts and waits
//!   retries           transient failures, with full jitter, under a budget that a total outage exhausts
//!   circuit breaker   sends nothing while the provider is known to be unavailable
//!   bulkhead          limits concurrency: a slow provider does not hold up other work
//!   observer          metrics of every attempt, and the on-call alert
//!   attempt timeout   the time limit of one attempt
//!   classification    limits the response size, and converts failures to typed errors
//!   transport         HTTP/1.1 or 2, TLS with the system's root certificates
//! ```
//!
//! An [`Error`] states whether the provider may have acted. A request that was not sent or was rejected can safely be
//! replaced by another one. Otherwise the outcome is unknown, and only the provider can tell it.

mod circuit;
mod classify;
mod error;
mod guard;
mod observe;
mod receivers;
mod retry;
mod span;
mod target;
#[cfg(test)]
mod tests;
pub(crate) mod transport;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout},
};

pub use error::{Error, Kind};
pub use observe::Confidential;
pub use receivers::Receivers;
pub use target::check_url;

// `circuit` and `span` also serve providers without HTTP.
pub use circuit::breaker;
pub use span::{Call, traced};

use crate::{
    alert::Alerts,
    breaker::{Breaker, Circuit},
    context,
};
use observe::Observer;
use retry::Budget;
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
pub struct Client(Arc<Inner>);

struct Inner {
    provider: &'static str,
    bounds: Bounds,
    budget: Budget,
    breaker: Arc<Breaker>,
    slots: Semaphore,
    observer: Observer,
    transport: Transport,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("provider", &self.0.provider).field("circuit", &self.circuit()).finish()
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
        let (budget, breaker, slots) = (Budget::default(), breaker(provider), Semaphore::new(bounds.max_concurrency));
        let observer = Observer::new(provider, alerts.clone());
        Self(Arc::new(Inner { provider, bounds, budget, breaker, slots, observer, transport }))
    }

    /// Sends a request and reads the complete response.
    pub async fn send(&self, request: Request) -> Result<Response, Error> {
        // In a box, so that the futures of callers stay small.
        let attempts = Box::pin(self.0.send_repeatedly(request));
        within_deadline(self.0.provider, self.0.bounds.total, attempts).await
    }

    /// Returns the state of the circuit, for health checks, and for callers that need a provider for their work.
    pub fn circuit(&self) -> Circuit {
        self.0.breaker.state()
    }
}

impl Inner {
    /// Sends a request, and repeats it after a transient failure.
    async fn send_repeatedly(&self, request: Request) -> Result<Response, Error> {
        let (mut attempts, mut may_have_acted) = (0, false);
        loop {
            let mut error = match self.send_once(request.clone()).await {
                Ok(response) => {
                    self.budget.earn();
                    return Ok(response);
                }
                Err(error) => error,
            };
            attempts += 1;
            // An attempt that was not sent says nothing about an earlier one.
            may_have_acted |= error.may_have_acted;
            error.may_have_acted = may_have_acted;
            let Some(wait) = retry::wait(&request, &error, attempts) else { return Err(error) };
            if attempts >= self.bounds.max_attempts || !self.budget.spend() {
                return Err(error);
            }
            metrics::counter!("mainstay_outbound_retries_total", "provider" => self.provider).increment(1);
            tokio::time::sleep(wait).await;
        }
    }

    /// Sends a request, unless the circuit is open.
    async fn send_once(&self, request: Request) -> Result<Response, Error> {
        let admission = self.breaker.clone().admit();
        let admission = admission.map_err(|wait| Error::not_sent(self.provider, "the circuit is open", Some(wait)))?;
        let result = self.attempt(request).await;
        admission.settle(circuit::verdict(&result));
        result
    }

    /// Sends a request if a slot is free, and records the result.
    async fn attempt(&self, request: Request) -> Result<Response, Error> {
        let _slot = take_slot(self.provider, &self.slots)?;
        let (is_confidential, began) = (Confidential::is_set(&request), Instant::now());
        let exchange = classify::exchange(self.provider, self.transport.clone(), request, Some(MAX_ANSWER_BYTES));
        let result = within(self.provider, self.bounds.attempt_timeout, exchange).await;
        self.observer.record(is_confidential, began, &result);
        result
    }
}

/// Takes a slot. A call without a free slot fails immediately, because a queue would only slow down its callers.
fn take_slot<'s>(provider: &'static str, slots: &'s Semaphore) -> Result<SemaphorePermit<'s>, Error> {
    slots.try_acquire().map_err(|_| Error::not_sent(provider, "every slot is taken", None))
}

/// Limits the duration of a call to `limit` and to the rest of the caller's deadline.
async fn within_deadline<T>(
    provider: &'static str,
    limit: Duration,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    within(provider, context::remaining().map_or(limit, |remaining| remaining.min(limit)), call).await
}

async fn within<T>(
    provider: &'static str,
    limit: Duration,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    timeout(limit, call).await.unwrap_or_else(|_| Err(Error::timed_out(provider, limit)))
}
