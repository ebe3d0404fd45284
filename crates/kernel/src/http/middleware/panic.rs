//! Catches panics: a panic fails one request, is counted, and reveals nothing to the caller.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use tonic::Status;

use crate::{
    error::Error,
    http::middleware::layer::{Middleware, Next, Request, ResponseFuture},
};

/// A middleware that turns a panic into `INTERNAL_ERROR`.
#[derive(Debug, Clone)]
pub struct CatchPanic;

impl Middleware for CatchPanic {
    fn handle<S: Next>(&self, request: Request, next: &mut S) -> ResponseFuture {
        let response = next.run(request);
        // State that a panic leaves half done is dropped with the request: requests share only the pools, which recover
        // by themselves.
        Box::pin(AssertUnwindSafe(response).catch_unwind().map(|result| {
            Ok(result.unwrap_or_else(|panic| {
                metrics::counter!("mainstay_panics_total").increment(1);
                let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
                Status::from(Error::internal(anyhow::anyhow!("panic: {text}"))).into_http()
            }))
        }))
    }
}
