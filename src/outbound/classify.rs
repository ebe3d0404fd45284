//! Reads the whole answer, within a bound, and makes a typed error of a bad one.

use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, Full, Limited};
use tower::{Layer, Service, ServiceExt as _};

use super::{
    Error, Request, Response,
    transport::{Failed, Transport},
};

/// The largest answer there is a use for.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// The innermost layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Classify {
    pub(super) provider: &'static str,
}

/// The layer around a transport.
#[derive(Debug, Clone)]
pub(super) struct Classified {
    provider: &'static str,
    transport: Transport,
}

impl Layer<Transport> for Classify {
    type Service = Classified;

    fn layer(&self, transport: Transport) -> Self::Service {
        Classified { provider: self.provider, transport }
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
        let (provider, transport) = (self.provider, self.transport.clone());
        Box::pin(async move {
            let answer = transport.oneshot(request.map(Full::new)).await.map_err(|failed| match failed {
                Failed::NotConnected(why) => Error::not_connected(provider, why),
                Failed::Broken(why) => Error::broken(provider, why),
            })?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
            let body = body.map_err(|error| Error::broken(provider, format!("the answer broke off: {error}")))?;
            let answer = http::Response::from_parts(head, body.to_bytes());
            if answer.status().is_success() { Ok(answer) } else { Err(Error::answered(provider, answer)) }
        })
    }
}
