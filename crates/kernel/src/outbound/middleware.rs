//! Middleware around the transport: sees each call before, and its result after, the inner layers.

use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tower::{Layer, Service, ServiceExt as _};

use crate::outbound::{Error, Request, Response};

/// The inner layers.
pub(crate) trait Next:
    Service<Request, Response = Response, Error = Error, Future: Send> + Clone + Send + Sync + 'static
{
    /// Passes a request to the inner layers.
    fn run(&self, request: Request) -> impl Future<Output = Result<Response, Error>> + Send {
        self.clone().oneshot(request)
    }
}

impl<S> Next for S where
    S: Service<Request, Response = Response, Error = Error, Future: Send> + Clone + Send + Sync + 'static
{
}

/// A middleware.
pub(crate) trait Middleware: Clone + Send + Sync + 'static {
    /// Handles a call.
    fn handle<S: Next>(self, request: Request, next: S) -> impl Future<Output = Result<Response, Error>> + Send;
}

/// Turns a middleware into a tower layer.
#[derive(Debug, Clone)]
pub(crate) struct MiddlewareLayer<T>(pub(crate) T);

/// A middleware around the inner layers.
#[derive(Debug, Clone)]
pub(crate) struct MiddlewareService<T, S> {
    middleware: T,
    next: S,
}

impl<T: Clone, S> Layer<S> for MiddlewareLayer<T> {
    type Service = MiddlewareService<T, S>;

    fn layer(&self, next: S) -> Self::Service {
        MiddlewareService { middleware: self.0.clone(), next }
    }
}

impl<T: Middleware, S: Next> Service<Request> for MiddlewareService<T, S> {
    type Response = Response;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // The inner layers are cloned for each call, and polled for readiness then.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        Box::pin(self.middleware.clone().handle(request, self.next.clone()))
    }
}
