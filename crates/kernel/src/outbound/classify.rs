//! One exchange with a provider: reads the complete response up to a limit, if its body is needed, and converts failures to
//! typed errors.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use opentelemetry::{
    KeyValue,
    trace::{SpanRef, Status},
};
use tower::ServiceExt as _;
use tracing::{Instrument as _, Span};

use crate::{
    outbound::{
        Error, Request, Response, span,
        transport::{Transport, TransportError},
    },
    telemetry::traces,
};

/// Sends a request and reads the response, in a span of the provider. `max_answer` is the maximum size of the response in
/// bytes; `None` if only the status is needed.
pub(super) async fn exchange(
    provider: &'static str,
    transport: Transport,
    mut request: Request,
    max_answer: Option<usize>,
) -> Result<Response, Error> {
    let span = open(provider, &mut request);
    let result = send(provider, transport, request, max_answer).instrument(span.clone()).await;
    traces::describe(&span, |exported| describe(exported, &result));
    result
}

async fn send(
    provider: &'static str,
    transport: Transport,
    request: Request,
    max_answer: Option<usize>,
) -> Result<Response, Error> {
    let answer = transport.oneshot(request.map(Full::new)).await.map_err(|failed| match failed {
        TransportError::NotConnected(why) => Error::not_connected(provider, why),
        TransportError::Broken(why) => Error::invalid_response(provider, why),
    })?;
    let (head, body) = answer.into_parts();
    let body = match max_answer {
        Some(bytes) => {
            let body = Limited::new(body, bytes).collect().await;
            body.map_err(|error| Error::invalid_response(provider, format!("the answer broke off: {error}")))?
                .to_bytes()
        }
        None => Bytes::new(),
    };
    let answer = http::Response::from_parts(head, body);
    if answer.status().is_success() { Ok(answer) } else { Err(Error::from_response(provider, answer)) }
}

fn open(provider: &'static str, request: &mut Request) -> Span {
    let span = span::open(provider);
    traces::describe(&span, |exported| {
        exported.update_name(request.method().to_string());
        exported.set_attribute(KeyValue::new("http.request.method", request.method().to_string()));
        // The path is omitted, because that of a webhook receiver may contain a secret.
        exported.set_attribute(KeyValue::new("server.address", request.uri().host().unwrap_or_default().to_owned()));
        exported.set_attributes(request.uri().port_u16().map(|port| KeyValue::new("server.port", i64::from(port))));
    });
    match span.is_none() {
        true => traces::inject(request.headers_mut()),
        false => span.in_scope(|| traces::inject(request.headers_mut())),
    }
    span
}

fn describe(exported: &SpanRef<'_>, result: &Result<Response, Error>) {
    let answer = match result {
        Ok(answer) => Some(answer),
        Err(error) => error.answer.as_deref(),
    };
    let status = answer.map(|answer| i64::from(answer.status().as_u16()));
    exported.set_attributes(status.map(|status| KeyValue::new("http.response.status_code", status)));
    if let Err(error) = result {
        exported.set_status(Status::error(error.kind.name()));
    }
}
