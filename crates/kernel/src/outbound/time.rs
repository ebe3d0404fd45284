//! Time limits: of one attempt, and of a call with all its attempts.

use std::time::Duration;

use tokio::time::timeout;

use crate::{
    context,
    outbound::{
        Error, Request, Response,
        middleware::{Middleware, Next},
    },
};

/// Limits a call to the rest of its caller's deadline, and to its own limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TotalTimeout {
    pub(crate) provider: &'static str,
    pub(crate) most: Duration,
}

impl Middleware for TotalTimeout {
    async fn handle<S: Next>(self, request: Request, next: S) -> Result<Response, Error> {
        let most = context::remaining().map_or(self.most, |left| left.min(self.most));
        let call = next.run(request);
        timeout(most, call).await.unwrap_or_else(|_| Err(Error::timed_out(self.provider, most)))
    }
}

/// Limits one attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttemptTimeout {
    pub(crate) provider: &'static str,
    pub(crate) most: Duration,
}

impl Middleware for AttemptTimeout {
    async fn handle<S: Next>(self, request: Request, next: S) -> Result<Response, Error> {
        let call = next.run(request);
        timeout(self.most, call).await.unwrap_or_else(|_| Err(Error::timed_out(self.provider, self.most)))
    }
}
