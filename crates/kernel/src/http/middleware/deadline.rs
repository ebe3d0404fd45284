//! Limits the duration of a call to the caller's timeout or the policy's deadline, whichever is shorter.
//!
//! A stream has to end by then too. Here it does so properly; if nobody reads it, `InFlight` cuts it off.
//!
//! At the deadline the future is dropped, which cancels its statement in Postgres and rolls back its transaction. The
//! same happens when the caller disconnects, because the connection drops the request.

use std::{
    pin::Pin,
    task::{Context as Task, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use tokio::time::Sleep;
use tonic::Status;

use crate::{
    context::Context,
    contract::Method,
    error::{Error, Reason},
    http::middleware::{
        in_flight::Expires,
        layer::{Body, Middleware, Next, Request, ResponseFuture, refuse, trailers},
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
        let allowed = requested(&request).map_or(method.deadline, |requested| requested.min(method.deadline));
        let arrived = request.extensions().get::<Arrived>().map_or_else(Instant::now, |arrived| arrived.0.into_std());
        let deadline = arrived + allowed;
        let context = request.extensions().get::<Context>().cloned().unwrap_or_else(|| Context::new(""));
        let work = context.with_deadline(deadline).scope(next.run(request));
        Box::pin(async move {
            let answer = tokio::time::timeout_at(deadline.into(), work).await;
            let Ok(mut response) = answer else { return refuse(Reason::DeadlineExceeded.into()).await };
            response.extensions_mut().insert(Expires(deadline));
            if method.descriptor.is_server_streaming() {
                let end = tokio::time::sleep_until((deadline + GRACE).into());
                response = response.map(|body| Body::new(Bounded { body: Some(body), end: Box::pin(end) }));
            }
            Ok(response)
        })
    }
}

/// When a request arrived that had to wait, as an extension: its deadline does not begin anew.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrived(pub(super) tokio::time::Instant);

/// How long the caller waits, by either protocol.
pub(super) fn requested(request: &Request) -> Option<Duration> {
    let value = |name| request.headers().get(name)?.to_str().ok();
    let seconds = |text: &str| Duration::try_from_secs_f64(text.parse().ok()?).ok();
    value("grpc-timeout").and_then(grpc_timeout).or_else(|| value("x-request-timeout").and_then(seconds))
}

/// The time that a stream has to end with an error of its own.
const GRACE: Duration = Duration::from_millis(500);

/// A stream that ends at its deadline.
struct Bounded {
    body: Option<Body>,
    end: Pin<Box<Sleep>>,
}

impl HttpBody for Bounded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(task) {
            return Poll::Ready(frame);
        }
        ready!(self.end.as_mut().poll(task));
        self.body = None;
        Poll::Ready(Some(trailers(&Error::new(Reason::DeadlineExceeded).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
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
