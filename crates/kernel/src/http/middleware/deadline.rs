//! Limits the duration of a call to the caller's timeout or the policy's deadline, whichever is shorter.
//!
//! At the deadline the future is dropped, which cancels its statement in Postgres and rolls back its transaction. The
//! same happens when the caller disconnects, because the connection drops the request.

use std::time::{Duration, Instant};

use tonic::Status;

use crate::{
    context::Context,
    contract::Method,
    error::{Error, Reason},
    http::middleware::{
        layer::{Middleware, Next, Request, ResponseFuture},
        request_id::RequestId,
    },
};

/// A middleware that opens the request's context, which holds the deadline.
#[derive(Debug, Clone)]
pub struct Deadline;

impl Middleware for Deadline {
    fn handle<S: Next>(&self, request: Request, next: &mut S) -> ResponseFuture {
        let Some(method) = request.extensions().get::<&'static Method>().copied() else {
            return next.pass(request);
        };
        let requested = request.headers().get("grpc-timeout").and_then(|value| grpc_timeout(value.to_str().ok()?));
        let allowed = requested.map_or(method.deadline, |requested| requested.min(method.deadline));
        let deadline = Instant::now() + allowed;
        let id = request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
        let work = Context { request_id: id, deadline: Some(deadline) }.scope(next.run(request));
        Box::pin(async move {
            let answer = tokio::time::timeout_at(deadline.into(), work).await;
            Ok(answer.unwrap_or_else(|_| Status::from(Error::new(Reason::DeadlineExceeded)).into_http()))
        })
    }
}

/// Parses gRPC's `Timeout`: up to 8 digits and a unit (gRPC over HTTP/2). Returns `None` if it is malformed.
fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let count: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}
