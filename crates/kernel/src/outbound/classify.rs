//! Reads the complete response, up to a limit, if its body is needed, and converts failures to typed errors.

use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, Full, Limited};
use tower::{Layer, Service, ServiceExt as _};

use crate::outbound::{
    Error, Request, Response,
    transport::{Failed, Transport},
};

/// The innermost layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Classify {
    pub(crate) provider: &'static str,
    /// The maximum size of a response, in bytes; `None` if only the status is needed.
    pub(crate) max_answer: Option<usize>,
}

/// The service around a transport.
#[derive(Debug, Clone)]
pub(crate) struct Classified {
    provider: &'static str,
    max_answer: Option<usize>,
    transport: Transport,
}

impl Layer<Transport> for Classify {
    type Service = Classified;

    fn layer(&self, transport: Transport) -> Self::Service {
        Classified { provider: self.provider, max_answer: self.max_answer, transport }
    }
}

impl Service<Request> for Classified {
    type Response = Response;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Self { provider, max_answer, transport } = self.clone();
        Box::pin(async move {
            let answer = transport.oneshot(request.map(Full::new)).await.map_err(|failed| match failed {
                Failed::NotConnected(why) => Error::not_connected(provider, why),
                Failed::Broken(why) => Error::broken(provider, why),
            })?;
            let (head, body) = answer.into_parts();
            let body = match max_answer {
                Some(bytes) => {
                    let body = Limited::new(body, bytes).collect().await;
                    body.map_err(|error| Error::broken(provider, format!("the answer broke off: {error}")))?.to_bytes()
                }
                None => Bytes::new(),
            };
            let answer = http::Response::from_parts(head, body);
            if answer.status().is_success() { Ok(answer) } else { Err(Error::answered(provider, answer)) }
        })
    }
}
