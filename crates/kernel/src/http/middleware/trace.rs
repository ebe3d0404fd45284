//! One span, one log line and the metrics of each request.
//!
//! The line names the method (or the path, if it leads to none), the status and the duration; never a header, a query
//! string or a body, any of which may hold a secret.

use std::time::Instant;

use http::Uri;
use metrics::{counter, histogram};
use tracing::{Instrument as _, info_span};

use crate::{
    contract::{Method, Reason},
    http::middleware::{
        layer::{Middleware, Next, Request, ResponseFuture},
        protocol,
        request_id::RequestId,
    },
};

/// The part of a path that the log repeats.
const MAX_PATH_CHARS: usize = 200;

/// A middleware that opens the span.
#[derive(Debug, Clone)]
pub struct Trace;

impl Middleware for Trace {
    fn handle<S: Next>(&self, request: Request, next: &mut S) -> ResponseFuture {
        let began = Instant::now();
        let id = request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
        let traceparent = request.headers().get("traceparent").and_then(|v| v.to_str().ok()).filter(|v| v.len() == 55);
        let span =
            info_span!("request", id = %id, traceparent, verb = %request.method(), protocol = protocol::name(&request));
        let uri = request.uri().clone();
        let unanswered = Unanswered { began, answered: false };
        let probe = protocol::is_probe(&request);
        let response = span.in_scope(|| next.run(request));
        Box::pin(
            async move {
                let response = response.await;
                unanswered.answered();
                finish(&response, &uri, began, probe);
                Ok(response)
            }
            .instrument(span),
        )
    }
}

fn finish(response: &crate::http::middleware::layer::Response, uri: &Uri, began: Instant, probe: bool) {
    let matched = response.extensions().get::<&'static Method>();
    let method = matched.map_or("none", |method| method.name.as_str());
    // Without a method, the path alone says what was asked for.
    let path = matched.is_none().then(|| uri.path().chars().take(MAX_PATH_CHARS).collect::<String>());
    let status = protocol::status(response);
    let elapsed = began.elapsed();
    counter!("mainstay_requests_total", "method" => method, "status" => status.as_str().to_owned()).increment(1);
    histogram!("mainstay_request_seconds", "method" => method).record(elapsed);
    let (status, elapsed_us) = (status.as_u16(), elapsed.as_micros() as u64);
    // Balancers ask every second or so.
    if probe {
        tracing::debug!(method, path, status, elapsed_us, "request done");
    } else {
        tracing::info!(method, path, status, elapsed_us, "request done");
    }
}

/// Reports a request that is dropped before it is answered.
struct Unanswered {
    began: Instant,
    answered: bool,
}

impl Unanswered {
    fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if !self.answered {
            // The caller disconnected, so there is no response to take the method from, and only this guard can report
            // it.
            let status = Reason::ClientClosedRequest.facts().http;
            counter!("mainstay_requests_total", "method" => "none", "status" => status.as_str().to_owned())
                .increment(1);
            let elapsed_us = self.began.elapsed().as_micros() as u64;
            tracing::info!(method = "none", status = status.as_u16(), elapsed_us, "request abandoned by its caller");
        }
    }
}
