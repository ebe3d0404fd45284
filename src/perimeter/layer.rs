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
pub type Responding = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

/// Answers without going further in.
pub fn refuse(error: crate::error::Error) -> Responding {
    Box::pin(std::future::ready(Ok(tonic::Status::from(error).into_http())))
}

/// What is inside a step.
pub trait Inside:
    Service<Request, Response = Response, Error = Infallible, Future: Send + 'static> + Clone + Send + 'static
{
    /// Hands the request inwards.
    fn respond(&mut self, request: Request) -> impl Future<Output = Response> + Send + 'static {
        let response = self.call(request);
        async move {
            match response.await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        }
    }
}

impl<S> Inside for S where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send + 'static> + Clone + Send + 'static
{
}

/// One step of the perimeter.
pub trait Step: Clone + Send + 'static {
    /// Takes a request that is on its way in.
    fn step<S: Inside>(&self, request: Request, inside: &mut S) -> Responding;
}

/// Makes a step a tower layer.
#[derive(Debug, Clone)]
pub struct StepLayer<T>(pub T);

impl<T: Clone, S> Layer<S> for StepLayer<T> {
    type Service = Stepped<T, S>;

    fn layer(&self, inside: S) -> Self::Service {
        Stepped { step: self.0.clone(), inside }
    }
}

/// A service behind a step.
#[derive(Debug, Clone)]
pub struct Stepped<T, S> {
    step: T,
    inside: S,
}

impl<T: Step, S: Inside> Service<Request> for Stepped<T, S> {
    type Response = Response;
    type Error = Infallible;
    type Future = Responding;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.step.step(request, &mut self.inside)
    }
}
