//! The span, the log line and the metrics of each request.
//!
//! The line contains the method and the route, the principal and the account, the client's address, the status, the
//! bytes of the response, the times until the response began and was sent, and for errors the chain of causes. A
//! request without a method has its path instead: the template of a page, or else only its words. Headers, query
//! strings and bodies are never logged, because any of them may contain a secret. The line is written once the response
//! is sent or aborted.

mod body;
mod line;
mod series;

use std::time::Instant;

use http::{HeaderMap, Uri};
use opentelemetry::{KeyValue, trace::Status};
use tonic::Code;
use tracing::{Instrument as _, Span, info_span};

use crate::{
    context::Context,
    contract::{Catalogue, Contract},
    http::{
        middleware::{
            layer::{Body, Middleware, Next, Request, Response, ResponseFuture, refuse},
            protocol, record,
        },
        pages::finish::Template,
    },
    telemetry::traces,
};
use body::Traced;
use line::{Line, ResponseHead};
use series::{Kind, SemanticLabels};

/// A middleware that opens the span, and writes the line at its end.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    pub(crate) contract: &'static Contract,
}

impl<S: Next> Middleware<S> for Trace {
    fn handle(&self, mut request: Request, next: &mut S) -> ResponseFuture {
        if let Err(error) = crate::fault::point("trace") {
            return refuse(error);
        }
        let span = open(&request);
        let is_rest = protocol::name(&request) == "rest";
        let line = Line {
            began: Instant::now(),
            record: record::attach(&mut request),
            context: request.extensions().get::<Context>().cloned(),
            verb: request.method().clone(),
            path: path_of(request.uri()),
            route: is_rest.then(|| self.route(&request)).flatten(),
            protocol: protocol::name(&request),
            is_probe: protocol::is_probe(&request),
            span: span.clone(),
            bytes: 0,
            is_cut_off: false,
            response: None,
        };
        let response = span.in_scope(|| next.run(request));
        let catalogue = &self.contract.catalogue;
        Box::pin(
            async move {
                let response = response.await;
                Ok(finish(catalogue, response, line))
            }
            .instrument(span),
        )
    }
}

impl Trace {
    fn route(&self, request: &Request) -> Option<&'static str> {
        let route = self.contract.rules.route(request.method(), request.uri().path());
        route.map(|route| route.pattern.as_str())
    }
}

fn open(request: &Request) -> Span {
    let id = request.extensions().get::<Context>().map(|context| context.request_id.clone()).unwrap_or_default();
    let (verb, protocol) = (request.method(), protocol::name(request));
    if !traces::is_active() {
        let trace_id = caller_trace(request.headers());
        return info_span!("request", %id, trace_id, %verb, protocol);
    }
    let trace_id = tracing::field::Empty;
    let span = info_span!("request", %id, trace_id, %verb, protocol, otel.kind = "server");
    traces::continue_from_headers(&span, request.headers());
    if let Some(id) = traces::trace_id(&span) {
        span.record("trace_id", tracing::field::display(id));
    }
    span
}

/// Returns the id of the caller's trace, which also appears in the caller's logs.
fn caller_trace(headers: &HeaderMap) -> Option<&str> {
    let traceparent = headers.get("traceparent").and_then(|value| value.to_str().ok());
    traceparent.filter(|text| traces::is_traceparent(text)).and_then(|text| text.get(3..35))
}

const MAX_PATH_CHARS: usize = 200;
/// The most characters and digits of a path segment that counts as a word; a longer one may be a token or an id.
const MAX_WORD_CHARS: usize = 24;
const MAX_WORD_DIGITS: usize = 4;

/// Returns the loggable part of a request's path. A path without a method or page may contain anything, such as a
/// token, an address or a name. Therefore only words are shown, in lower case as in all valid paths.
fn path_of(uri: &Uri) -> String {
    let segments = uri.path().split('/').map(|segment| if is_word(segment) { segment } else { "…" });
    segments.collect::<Vec<_>>().join("/").chars().take(MAX_PATH_CHARS).collect()
}

fn is_word(segment: &str) -> bool {
    let is_of_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    segment.len() <= MAX_WORD_CHARS
        && segment.bytes().all(is_of_word)
        && segment.bytes().filter(u8::is_ascii_digit).count() <= MAX_WORD_DIGITS
}

/// Counts the response, and attaches its line, which is written at its end.
fn finish(catalogue: &Catalogue, mut response: Response, mut line: Line) -> Response {
    if let Some(Template(page)) = response.extensions_mut().remove() {
        line.path = page.to_owned();
    }
    let status = protocol::status(catalogue, &response);
    let elapsed = line.began.elapsed();
    series::record(Kind { method: line.method(), status, labels: semantic_labels(&line, &response) }, elapsed);
    traces::describe(&line.span, |exported| {
        exported.update_name(line.span_name());
        exported.set_attributes(line.attributes());
        exported.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
        if status.is_server_error() {
            exported.set_status(Status::error(""));
        }
    });
    line.response = Some(ResponseHead { status, elapsed });
    let span = line.span.clone();
    response.map(|body| Body::new(Traced::new(body, span, line)))
}

/// The names of the gRPC codes, by number.
const GRPC_CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

fn semantic_labels(line: &Line, response: &Response) -> SemanticLabels {
    if line.protocol == "rest" {
        return SemanticLabels::Http { verb: line.known_verb(), route: line.route.unwrap_or_default() };
    }
    let code = tonic::Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code());
    SemanticLabels::Rpc { method: line.rpc_method(), code: grpc_code(code) }
}

pub(crate) fn grpc_code(code: Code) -> &'static str {
    GRPC_CODES.get(code as usize).copied().unwrap_or("UNKNOWN")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_leads_nowhere_shows_words_only() {
        for (path, logged) in [
            ("/", "/"),
            ("/api/v1/nowhere", "/api/v1/nowhere"),
            ("/wp-login.php", "/wp-login.php"),
            ("/api/v1/users/alice@example.com", "/api/v1/users/…"),
            ("/reset-password/mpr_3fK9qZ81Lw", "/reset-password/…"),
            ("/files/0197b5f4-8a20-7d13-9c4b-6e5f7a8b9c01", "/files/…"),
            ("/9f86d081884c7d65", "/…"),
            ("/nowhere%0A%7B%22a%22", "/…"),
            ("/a/aaaaaaaaaaaaaaaaaaaaaaaaa", "/a/…"),
            ("/eyJhbGciOi.eyJzdWIi.c2ln", "/…"),
        ] {
            assert_eq!(path_of(&path.parse().expect("a URI")), logged);
        }
        let long = format!("/{}", "long/".repeat(100));
        assert_eq!(path_of(&long.parse().expect("a URI")).len(), MAX_PATH_CHARS);
    }
}
