//! Time limits: of one attempt, and of a call with all its attempts.

use std::time::Duration;

use tokio::time::timeout;

use super::{
    Error, Request, Response,
    middleware::{Middleware, Next},
};
use crate::context;

/// Limits a call to the rest of its caller's deadline, and to its own limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct TotalTime {
    pub(super) provider: &'static str,
    pub(super) most: Duration,
}

impl Middleware for TotalTime {
    async fn handle<S: Next>(self, request: Request, next: S) -> Result<Response, Error> {
        let most = context::remaining().map_or(self.most, |left| left.min(self.most));
        let call = next.run(request);
        timeout(most, call).await.unwrap_or_else(|_| Err(Error::timed_out(self.provider, most)))
    }
}

/// Limits one attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct TryTime {
    pub(super) provider: &'static str,
    pub(super) most: Duration,
}

impl Middleware for TryTime {
    async fn handle<S: Next>(self, request: Request, next: S) -> Result<Response, Error> {
        let call = next.run(request);
        timeout(self.most, call).await.unwrap_or_else(|_| Err(Error::timed_out(self.provider, self.most)))
    }
}
