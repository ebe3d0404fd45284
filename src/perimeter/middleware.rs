//! What a layer of the perimeter is: a step that sees a request before, and its response after, everything inside it.
//!
//! Every service here is always ready and never fails; refusing is a response like any other. That lets a step call
//! what is inside it without cloning it, and costs one allocation per step.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use tower::{Layer, Service};

/// The body of every request and response.
pub type Body = tonic::body::Body;
/// A request at any depth.
pub type Request = http::Request<Body>;
/// A response at any depth.
pub type Response = http::Response<Body>;
/// A response that is being made.
pub type ResponseFuture = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

/// Answers without going further in.
pub fn refuse(error: crate::error::Error) -> ResponseFuture {
    Box::pin(std::future::ready(Ok(tonic::Status::from(error).into_http())))
}

/// What is inside a step.
pub trait Next:
    Service<Request, Response = Response, Error = Infallible, Future: Send + 'static> + Clone + Send + 'static
{
    /// Hands the request inwards.
    fn run(&mut self, request: Request) -> impl Future<Output = Response> + Send + 'static {
        let response = self.call(request);
        async move {
            match response.await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        }
    }

    /// Hands the request inwards, for a middleware that has nothing to do with the response.
    fn pass(&mut self, request: Request) -> ResponseFuture {
        let response = self.run(request);
        Box::pin(async move { Ok(response.await) })
    }
}

impl<S> Next for S where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send + 'static> + Clone + Send + 'static
{
}

/// One step of the perimeter.
pub trait Middleware: Clone + Send + 'static {
    /// Takes a request that is on its way in.
    fn handle<S: Next>(&self, request: Request, next: &mut S) -> ResponseFuture;
}

/// Makes a step a tower layer.
#[derive(Debug, Clone)]
pub struct MiddlewareLayer<T>(pub T);

impl<T: Clone, S> Layer<S> for MiddlewareLayer<T> {
    type Service = MiddlewareService<T, S>;

    fn layer(&self, next: S) -> Self::Service {
        MiddlewareService { middleware: self.0.clone(), next }
    }
}

/// A service behind a step.
#[derive(Debug, Clone)]
pub struct MiddlewareService<T, S> {
    middleware: T,
    next: S,
}

impl<T: Middleware, S: Next> Service<Request> for MiddlewareService<T, S> {
    type Response = Response;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.middleware.handle(request, &mut self.next)
    }
}
