//! Common types of the outbound clients' middleware.

use tower::{Service, ServiceExt as _};

pub(crate) use crate::middleware::{Middleware, MiddlewareLayer};
use crate::{
    middleware,
    outbound::{Error, Request, Response},
};

/// A future that resolves to a response.
pub(crate) type ResponseFuture = middleware::ResponseFuture<Response, Error>;

/// The next service in the stack.
pub(crate) trait Next:
    Service<Request, Response = Response, Error = Error, Future: Send> + Clone + Send + 'static
{
    /// Calls the service once it is ready.
    fn run(&self, request: Request) -> impl Future<Output = Result<Response, Error>> + Send + 'static {
        self.clone().oneshot(request)
    }
}

impl<S> Next for S where S: Service<Request, Response = Response, Error = Error, Future: Send> + Clone + Send + 'static {}
