//! Bounds on time: of one try, and of a call with all its tries.

use std::time::Duration;

use tokio::time::timeout;

use super::{
    Error, Request, Response,
    step::{Inside, Step},
};
use crate::context;

/// Bounds a call by what is left of its caller's deadline, and by its own bound.
#[derive(Debug, Clone, Copy)]
pub(super) struct TotalTime {
    pub(super) provider: &'static str,
    pub(super) most: Duration,
}

impl Step for TotalTime {
    async fn step<S: Inside>(self, request: Request, inside: S) -> Result<Response, Error> {
        let most = context::remaining().map_or(self.most, |left| left.min(self.most));
        let call = inside.send(request);
        timeout(most, call).await.unwrap_or_else(|_| Err(Error::timed_out(self.provider, most)))
    }
}

/// Bounds one try.
#[derive(Debug, Clone, Copy)]
pub(super) struct TryTime {
    pub(super) provider: &'static str,
    pub(super) most: Duration,
}

impl Step for TryTime {
    async fn step<S: Inside>(self, request: Request, inside: S) -> Result<Response, Error> {
        let call = inside.send(request);
        timeout(self.most, call).await.unwrap_or_else(|_| Err(Error::timed_out(self.provider, self.most)))
    }
}
