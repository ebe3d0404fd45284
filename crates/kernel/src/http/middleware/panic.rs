//! Panic isolation: a panic fails one request, is counted, and reveals no details to the caller.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::Poll,
};

use futures_util::FutureExt as _;
use http_body::Body as _;

use crate::{
    error::Error,
    http::middleware::{
        envelope,
        layer::{Body, Middleware, Next, Request, ResponseFuture, polled, trailers},
        protocol,
    },
};

/// A middleware that converts a panic in the call, in its future or in the response body to `INTERNAL_ERROR`.
#[derive(Debug, Clone)]
pub(crate) struct CatchPanic;

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
                    response.map(|body| caught(body, ends_with_trailers))
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

/// Ends a body at a panic: in gRPC with a status, in REST by an abort, so that a truncated body is not mistaken for a
/// complete one.
fn caught(body: Body, ends_with_trailers: bool) -> Body {
    polled(body, move |body, context| {
        catch_unwind(AssertUnwindSafe(|| Pin::new(&mut *body).poll_frame(context))).unwrap_or_else(|_| {
            *body = Body::empty();
            let status = report().into();
            Poll::Ready(Some(if ends_with_trailers { trailers(&status) } else { Err(status) }))
        })
    })
}
