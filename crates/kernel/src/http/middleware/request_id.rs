//! Request ids, which appear in the logs, the response and the errors of each request.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use crate::{
    clock::Clock,
    context::Context,
    http::middleware::layer::{Middleware, Next, Request, ResponseFuture},
    id,
    telemetry::traces,
};

/// The request id header.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A middleware that creates the context of a request and adds it to the extensions. It takes the caller's id if it is
/// acceptable, or else generates one.
#[derive(Debug, Clone)]
pub struct AssignRequestId {
    /// The clock for UUIDv7.
    pub clock: Clock,
}

impl<S: Next> Middleware<Request, S> for AssignRequestId {
    fn handle(&self, mut request: Request, next: &mut S) -> ResponseFuture {
        let candidate =
            request.headers().get(&X_REQUEST_ID).and_then(|value| value.to_str().ok()).filter(|id| is_acceptable(id));
        let id: Arc<str> = candidate.map_or_else(|| id::new(self.clock.now()).to_string().into(), Arc::from);
        let header = HeaderValue::from_str(&id).expect("acceptable ids are header values");
        request.headers_mut().insert(X_REQUEST_ID, header.clone());
        let traceparent = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
        let context = Context::new(id).with_traceparent(traceparent.filter(|text| traces::is_traceparent(text)));
        request.extensions_mut().insert(context.clone());
        let response = context.scope_all(|| next.run(request));
        Box::pin(async move {
            let mut response = response.await;
            response.headers_mut().insert(X_REQUEST_ID, header);
            Ok(response)
        })
    }
}

/// Returns whether the id is short and can't forge a log line.
fn is_acceptable(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/+=".contains(&b))
}
