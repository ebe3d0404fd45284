//! Panic isolation: a panic fails one request, is counted, and reveals no details to the caller.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::Status;

use crate::{
    error::Error,
    http::middleware::{
        envelope,
        layer::{Body, Middleware, Next, Request, ResponseFuture, trailers},
        protocol,
    },
};

/// A middleware that converts a panic in the call, in its future or in the response body to `INTERNAL_ERROR`.
#[derive(Debug, Clone)]
pub struct CatchPanic;

impl<S: Next> Middleware<S> for CatchPanic {
    fn handle(&self, request: Request, next: &mut S) -> ResponseFuture {
        let protocol = protocol::name(&request);
        // Inconsistent state is dropped with the request. Requests share only the pools, which recover from panics.
        let response = catch_unwind(AssertUnwindSafe(|| next.run(request)));
        Box::pin(async move {
            let response = match response {
                Ok(response) => AssertUnwindSafe(response).catch_unwind().await,
                Err(panic) => Err(panic),
            };
            Ok(match response {
                Ok(response) => {
                    let ends_with_trailers = protocol::is_grpc(&response);
                    response.map(|body| Body::new(Caught { body: Some(body), ends_with_trailers }))
                }
                Err(_) => envelope::refusal(protocol, report()),
            })
        })
    }
}

/// Counts a panic. The panic hook of [`telemetry`](crate::telemetry) has already logged its message.
fn report() -> Error {
    metrics::counter!("mainstay_panics_total").increment(1);
    Error::internal(anyhow::anyhow!("it panicked"))
}

/// A body that ends at a panic: in gRPC with a status, in REST by an abort, so that a truncated body is not mistaken
/// for a complete one.
struct Caught {
    body: Option<Body>,
    ends_with_trailers: bool,
}

impl HttpBody for Caught {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        match catch_unwind(AssertUnwindSafe(|| Pin::new(body).poll_frame(context))) {
            Ok(frame) => frame,
            Err(_) => {
                self.body = None;
                let status = report().into();
                Poll::Ready(Some(if self.ends_with_trailers { trailers(&status) } else { Err(status) }))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}
