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

/// Limits a call to the rest of its caller's deadline, and to the limit of the client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TotalTimeout {
    pub(crate) provider: &'static str,
    pub(crate) limit: Duration,
}

impl<S: Next> Middleware<Request, S> for TotalTimeout {
    fn handle(&self, request: Request, next: &mut S) -> ResponseFuture {
        let (this, next) = (*self, next.clone());
        Box::pin(async move {
            let limit = context::remaining().map_or(this.limit, |remaining| remaining.min(this.limit));
            let call = next.run(request);
            timeout(limit, call).await.unwrap_or_else(|_| Err(Error::timed_out(this.provider, limit)))
        })
    }
}

/// Limits one attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttemptTimeout {
    pub(crate) provider: &'static str,
    pub(crate) limit: Duration,
}

impl<S: Next> Middleware<Request, S> for AttemptTimeout {
    fn handle(&self, request: Request, next: &mut S) -> ResponseFuture {
        let (this, next) = (*self, next.clone());
        Box::pin(async move {
            let call = next.run(request);
            timeout(this.limit, call).await.unwrap_or_else(|_| Err(Error::timed_out(this.provider, this.limit)))
        })
    }
}
