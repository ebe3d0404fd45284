//! Routes each request to its door: gRPC and gRPC-Web to the inner stack, pages to their router, the rest to the
//! transcoder.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use futures_util::FutureExt as _;
use tower::Service;

use crate::http::middleware::{
    layer::{Next, Request, ResponseFuture, refuse},
    protocol as door,
};

/// The path prefixes of the contract's routes.
const REST: [&str; 2] = ["/api/", "/webhooks/"];

/// The doors.
#[derive(Debug, Clone)]
pub struct Router<G, W, P, R> {
    /// Native gRPC.
    pub grpc: G,
    /// gRPC-Web.
    pub grpc_web: W,
    /// Health, metrics and documents.
    pub pages: P,
    /// REST.
    pub rest: R,
}

impl<G: Next, W: Next, P: Next, R: Next> Service<Request> for Router<G, W, P, R> {
    type Response = crate::http::middleware::layer::Response;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> ResponseFuture {
        match door::name(&request) {
            "grpc" => Box::pin(self.grpc.run(request).map(Ok)),
            "envoy" => match door::adopt(&mut request) {
                Ok(()) => Box::pin(self.grpc.run(request).map(Ok)),
                Err(error) => refuse(error),
            },
            "grpc-web" => Box::pin(self.grpc_web.run(request).map(Ok)),
            _ if REST.iter().any(|prefix| request.uri().path().starts_with(prefix)) => {
                Box::pin(self.rest.run(request).map(Ok))
            }
            _ => Box::pin(self.pages.run(request).map(Ok)),
        }
    }
}
