//! Calls to other people's services: one HTTP client, and around it the layers that keep their bad days from becoming
//! ours. Outermost first:
//!
//! ```text
//!   TotalTime   what is left of the caller's deadline, tries and waits included
//!   Retry       again after what may pass, with full jitter, under a budget that a total outage empties
//!   Breaker     nothing is sent while the provider is known to be away
//!   Bulkhead    so many at once and no more: a slow provider holds up no other work
//!   Observe     metrics of every try, and the on-call alert
//!   TryTime     one try
//!   Classify    bounds the answer, and makes a typed error of a bad one
//!   transport   HTTP/1.1 or 2, TLS by the system's roots
//! ```
//!
//! An [`Error`] says whether the provider may have acted: what was not sent, or was refused, may be tried by other
//! means; of anything else the outcome is unknown, and only the provider can tell it.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use tower::{ServiceBuilder, ServiceExt as _, util::BoxCloneSyncService};

mod breaker;
mod bulkhead;
mod classify;
mod error;
mod observe;
mod receivers;
mod retry;
mod step;
mod time;
mod transport;

#[cfg(test)]
mod tests;

pub use breaker::Circuit;
pub use error::{Error, Kind};
pub use receivers::Receivers;

// For providers that speak no HTTP.
pub(crate) use breaker::{Breaker, Verdict};

use step::StepLayer;
use transport::Transport;

/// A request, whole. It is tried again only if it bears that: a safe method, or an `Idempotency-Key`.
pub type Request = http::Request<Bytes>;
/// A good answer, whole.
pub type Response = http::Response<Bytes>;

/// Bounds of the calls to one provider.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The longest a call may take with its tries, if its caller allows as much.
    pub total: Duration,
    /// The longest one try may take.
    pub one_try: Duration,
    /// Calls under way at once.
    pub at_once: usize,
    /// Tries of one call.
    pub tries: u32,
}

/// A client of one provider. Cheap to clone; clones share the circuit, the budget and the places.
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

/// The largest answer of a provider there is a use for, in bytes.
const MAX_ANSWER_BYTES: usize = 4 << 20;

impl Client {
    /// A client over the network.
    ///
    /// # Errors
    /// When the system has no root certificates.
    pub fn new(provider: &'static str, bounds: Bounds) -> anyhow::Result<Self> {
        Ok(Self::over(provider, bounds, transport::new()?))
    }

    /// A client over any transport.
    fn over(provider: &'static str, bounds: Bounds, transport: Transport) -> Self {
        let breaker = Arc::new(Breaker::new(provider));
        let stack = ServiceBuilder::new()
            .layer(StepLayer(time::TotalTime { provider, most: bounds.total }))
            .layer(StepLayer(retry::Retry::new(provider, bounds.tries)))
            .layer(StepLayer(breaker.clone()))
            .layer(StepLayer(bulkhead::Bulkhead::new(provider, bounds.at_once)))
            .layer(StepLayer(observe::Observe::new(provider)))
            .layer(StepLayer(time::TryTime { provider, most: bounds.one_try }))
            .layer(classify::Classify { provider, max_answer: Some(MAX_ANSWER_BYTES) })
            .service(transport);
        Self { provider, breaker, stack: BoxCloneSyncService::new(stack) }
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// Every answer that is not a good one, and none at all.
    pub async fn send(&self, request: Request) -> Result<Response, Error> {
        self.stack.clone().oneshot(request).await
    }

    /// Whether calls go through, for health and for those who would rather not begin.
    pub fn circuit(&self) -> Circuit {
        self.breaker.state()
    }
}
