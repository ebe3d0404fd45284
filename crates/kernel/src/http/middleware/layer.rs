//! Common types of the server's middleware: it wraps the next service, and sees its requests and responses.
//!
//! Every service of the stack is always ready and never fails; a rejection is a normal response. A middleware can
//! therefore call the next service without cloning it. Each middleware costs one allocation.

use std::{
    any::Any,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tonic::Status;
use tower::{Layer, Service};

use crate::error::{Error, Reason};

/// The body of every request and response.
pub type Body = tonic::body::Body;
/// A request anywhere in the stack.
pub type Request = http::Request<Body>;
/// A response anywhere in the stack.
pub type Response = http::Response<Body>;
/// A future that resolves to a response.
pub type ResponseFuture = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

/// One layer around the service `S`.
pub trait Middleware<S: Next>: Clone + Send + 'static {
    /// Handles a request, usually by calling `next`.
    fn handle(&self, request: Request, next: &mut S) -> ResponseFuture;
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

impl<T: Middleware<S>, S: Next> Service<Request> for MiddlewareService<T, S> {
    type Response = Response;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> ResponseFuture {
        self.middleware.handle(request, &mut self.next)
    }
}

/// Responds with an error without calling the next service.
pub fn refuse(error: Error) -> ResponseFuture {
    Box::pin(std::future::ready(Ok(Status::from(error).into_http())))
}

/// Returns the trailers that end a gRPC body with a status.
///
/// # Errors
/// The status itself, if it can't be encoded in headers.
pub fn trailers(status: &Status) -> Result<Frame<Bytes>, Status> {
    let mut trailers = http::HeaderMap::new();
    status.add_header(&mut trailers)?;
    Ok(Frame::trailers(trailers))
}

/// The result of polling a body for a frame.
pub(crate) type PolledFrame = Poll<Option<Result<Frame<Bytes>, Status>>>;

/// Returns a body whose frames `poll` takes from the inner body. The end and the size are those of the inner body,
/// which `poll` may replace by an empty one.
pub(crate) fn polled<F>(body: Body, poll: F) -> Body
where
    F: FnMut(&mut Body, &mut Context<'_>) -> PolledFrame + Send + Unpin + 'static,
{
    Body::new(PolledBody { body, poll })
}

struct PolledBody<F> {
    body: Body,
    poll: F,
}

impl<F: FnMut(&mut Body, &mut Context<'_>) -> PolledFrame + Unpin> http_body::Body for PolledBody<F> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> PolledFrame {
        let Self { body, poll } = &mut *self;
        poll(body, context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Returns a body that ends with a status once `end` resolves and the body has no other frame.
pub(crate) fn ended_by(body: Body, end: impl Future<Output = ()> + Send + 'static, reason: Reason) -> Body {
    let mut end = Box::pin(end);
    polled(body, move |body, context| {
        if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(context) {
            return Poll::Ready(frame);
        }
        ready!(end.as_mut().poll(context));
        *body = Body::empty();
        Poll::Ready(Some(trailers(&Error::new(reason).into())))
    })
}

/// The next service in the stack.
pub trait Next:
    Service<Request, Response = Response, Error = Infallible, Future: Send + 'static> + Clone + Send + 'static
{
    /// Calls the service and returns its response.
    fn run(&mut self, request: Request) -> impl Future<Output = Response> + Send + 'static {
        let response = self.call(request);
        async move {
            match response.await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        }
    }

    /// Calls the service, for a middleware that does not modify the response.
    fn pass(&mut self, request: Request) -> ResponseFuture {
        boxed(self.call(request))
    }
}

/// Boxes a future, unless it is a boxed one already, such as that of any middleware.
fn boxed(future: impl Future<Output = Result<Response, Infallible>> + Send + 'static) -> ResponseFuture {
    let mut future = Some(future);
    let in_a_box = (&mut future as &mut dyn Any).downcast_mut::<Option<ResponseFuture>>().and_then(Option::take);
    in_a_box.unwrap_or_else(|| Box::pin(future.expect("it is taken once")))
}

impl<S> Next for S where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send + 'static> + Clone + Send + 'static
{
}
