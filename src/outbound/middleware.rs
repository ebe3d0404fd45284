//! What a layer around the transport is: a step that sees a call before, and its result after, everything inside it.

use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tower::{Layer, Service, ServiceExt as _};

use super::{Error, Request, Response};

/// What is inside a step.
pub(super) trait Next:
    Service<Request, Response = Response, Error = Error, Future: Send> + Clone + Send + Sync + 'static
{
    /// Sends a request inwards.
    fn run(&self, request: Request) -> impl Future<Output = Result<Response, Error>> + Send {
        self.clone().oneshot(request)
    }
}

impl<S> Next for S where
    S: Service<Request, Response = Response, Error = Error, Future: Send> + Clone + Send + Sync + 'static
{
}

/// One step.
pub(super) trait Middleware: Clone + Send + Sync + 'static {
    /// Takes a call that is on its way in.
    fn handle<S: Next>(self, request: Request, next: S) -> impl Future<Output = Result<Response, Error>> + Send;
}

/// Makes a step a tower layer.
#[derive(Debug, Clone)]
pub(super) struct MiddlewareLayer<T>(pub(super) T);

/// A step around what is inside it.
#[derive(Debug, Clone)]
pub(super) struct MiddlewareService<T, S> {
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
        // What is inside is cloned for each call and asked then.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        Box::pin(self.middleware.clone().handle(request, self.next.clone()))
    }
}
