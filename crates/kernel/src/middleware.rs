//! Middleware, of the server and of outbound clients alike: it wraps the next service, and sees requests on the way in
//! and responses on the way out.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tower::{Layer, Service};

/// The future of [`Middleware::handle`].
pub type ResponseFuture<R, E> = Pin<Box<dyn Future<Output = Result<R, E>> + Send>>;

/// One layer around the service `S`, which takes requests `Q`.
pub trait Middleware<Q, S: Service<Q>>: Clone + Send + 'static {
    /// Handles a request, usually by calling `next`.
    fn handle(&self, request: Q, next: &mut S) -> ResponseFuture<S::Response, S::Error>;
}

/// A tower layer of a [`Middleware`].
#[derive(Debug, Clone)]
pub struct MiddlewareLayer<T>(pub T);

impl<T: Clone, S> Layer<S> for MiddlewareLayer<T> {
    type Service = MiddlewareService<T, S>;

    fn layer(&self, next: S) -> Self::Service {
        MiddlewareService { middleware: self.0.clone(), next }
    }
}

/// The next service wrapped in a middleware.
#[derive(Debug, Clone)]
pub struct MiddlewareService<T, S> {
    middleware: T,
    next: S,
}

impl<Q, T: Middleware<Q, S>, S: Service<Q>> Service<Q> for MiddlewareService<T, S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Response, S::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        // Services around the server are always ready. Services around a client are polled before each call.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Q) -> Self::Future {
        self.middleware.handle(request, &mut self.next)
    }
}
