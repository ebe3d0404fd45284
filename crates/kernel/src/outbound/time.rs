//! Time limits of one attempt, and of a call with all its attempts.

use std::time::Duration;

use tokio::time::timeout;

use crate::{
    context,
    outbound::{
        Error, Request,
        middleware::{Middleware, Next, ResponseFuture},
    },
};

/// Limits the duration of the calls below it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeout {
    pub(crate) provider: &'static str,
    pub(crate) limit: Duration,
    /// Whether the rest of the caller's deadline limits the call, too.
    pub(crate) within_deadline: bool,
}

impl<S: Next> Middleware<Request, S> for Timeout {
    fn handle(&self, request: Request, next: &mut S) -> ResponseFuture {
        let (this, next) = (*self, next.clone());
        Box::pin(async move {
            let deadline = if this.within_deadline { context::remaining() } else { None };
            let limit = deadline.map_or(this.limit, |remaining| remaining.min(this.limit));
            let call = next.run(request);
            timeout(limit, call).await.unwrap_or_else(|_| Err(Error::timed_out(this.provider, limit)))
        })
    }
}
