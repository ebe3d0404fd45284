//! What a layer around the transport is: a step that sees a call before, and its result after, everything inside it.

use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tower::{Layer, Service, ServiceExt as _};

use super::{Error, Request, Response};

/// What is inside a step.
pub(super) trait Inside:
    Service<Request, Response = Response, Error = Error, Future: Send> + Clone + Send + Sync + 'static
{
    /// Sends a request inwards.
    fn send(&self, request: Request) -> impl Future<Output = Result<Response, Error>> + Send {
        self.clone().oneshot(request)
    }
}

impl<S> Inside for S where
    S: Service<Request, Response = Response, Error = Error, Future: Send> + Clone + Send + Sync + 'static
{
}

/// One step.
pub(super) trait Step: Clone + Send + Sync + 'static {
    /// Takes a call that is on its way in.
    fn step<S: Inside>(self, request: Request, inside: S) -> impl Future<Output = Result<Response, Error>> + Send;
}

/// Makes a step a tower layer.
#[derive(Debug, Clone)]
pub(super) struct StepLayer<T>(pub(super) T);

/// A step around what is inside it.
#[derive(Debug, Clone)]
pub(super) struct Stepped<T, S> {
    step: T,
    inside: S,
}

impl<T: Clone, S> Layer<S> for StepLayer<T> {
    type Service = Stepped<T, S>;

    fn layer(&self, inside: S) -> Self::Service {
        Stepped { step: self.0.clone(), inside }
    }
}

impl<T: Step, S: Inside> Service<Request> for Stepped<T, S> {
    type Response = Response;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // What is inside is cloned for each call and asked then.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        Box::pin(self.step.clone().step(request, self.inside.clone()))
    }
}
