//! Assigns an id to every request, for its logs, its response and its errors.

use std::{pin::Pin, sync::Arc};

use http::{HeaderName, HeaderValue};
use http_body::Body as _;

use crate::{
    alert::Alerts,
    clock::Clock,
    context::Context,
    contract::lists::Lists,
    http::middleware::layer::{Middleware, Next, Request, ResponseFuture, polled},
    id,
    telemetry::traces,
};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A middleware that opens the context of a request, and adds it as an extension. The id is the caller's, if acceptable, or
/// generated.
#[derive(Debug, Clone)]
pub(crate) struct AssignRequestId {
    pub(crate) clock: Clock,
    /// The domain of the reasons of errors, if the operator has set one.
    pub(crate) error_domain: Option<Arc<str>>,
    pub(crate) lists: &'static Lists,
    pub(crate) alerts: Alerts,
}

impl<S: Next> Middleware<S> for AssignRequestId {
    fn handle(&self, mut request: Request, next: &mut S) -> ResponseFuture {
        let candidate =
            request.headers().get(&X_REQUEST_ID).and_then(|value| value.to_str().ok()).filter(|id| is_acceptable(id));
        let id: Arc<str> = candidate.map_or_else(|| id::new(self.clock.now()).to_string().into(), Arc::from);
        let header = HeaderValue::from_str(&id).expect("acceptable ids are header values");
        request.headers_mut().insert(X_REQUEST_ID, header.clone());
        let traceparent = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
        let context = Context::new(id).with_traceparent(traceparent.filter(|text| traces::is_traceparent(text)));
        let context =
            context.with_error_domain(self.error_domain.clone()).with_lists(self.lists).with_alerts(&self.alerts);
        request.extensions_mut().insert(context.clone());
        let of_body = self.error_domain.is_some().then(|| context.clone().after_the_head());
        let response = context.scope_all(|| next.run(request));
        Box::pin(async move {
            let mut response = response.await;
            response.headers_mut().insert(X_REQUEST_ID, header);
            Ok(match of_body {
                // Later errors have the domain of the context, too.
                Some(context) => response
                    .map(|body| polled(body, move |body, task| context.enter(|| Pin::new(body).poll_frame(task)))),
                None => response,
            })
        })
    }
}

fn is_acceptable(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/+=".contains(&b))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use http_body_util::{BodyExt as _, StreamBody};
    use tonic::Status;
    use tonic_types::StatusExt as _;
    use tower::{Layer as _, Service as _};

    use super::*;
    use crate::{
        contract::Contract,
        error::{Error, Reason},
        http::middleware::layer::{Body, MiddlewareLayer, trailers},
    };

    /// The body of a stream is read after its response has begun.
    #[tokio::test]
    async fn errors_of_streams_have_the_domain_of_the_operator() {
        for domain in [Some("api.example.com"), None] {
            let stub = tower::service_fn(|_: Request| async {
                let end = stream::once(async { trailers(&Error::new(Reason::Unavailable).into()) });
                Ok::<_, Infallible>(http::Response::new(Body::new(StreamBody::new(end))))
            });
            let lists = &Contract::read(&[]).expect("the kernel's own").lists;
            let (clock, error_domain, alerts) = (Clock::default(), domain.map(Into::into), Alerts::default());
            let middleware = AssignRequestId { clock, error_domain, lists, alerts };
            let mut service = MiddlewareLayer(middleware).layer(stub);
            let response = service.call(http::Request::new(Body::empty())).await.unwrap();
            let body = response.into_body().collect().await.unwrap();
            let status = Status::from_header_map(body.trailers().expect("trailers")).expect("a status");
            let info = status.get_details_error_info().expect("details");
            assert_eq!(info.domain, domain.unwrap_or("mainstay"));
        }
    }
}
