//! The log line of a request.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{Method as Verb, StatusCode};
use metrics::counter;
use opentelemetry::KeyValue;
use tracing::{Span, field::display};

use crate::{caller::Caller, context::Context, contract::Reason, http::middleware::record::Record};

/// The fields of a log line, which is written when this value is dropped.
pub(super) struct Line {
    pub(super) began: Instant,
    pub(super) record: Arc<Record>,
    pub(super) context: Option<Context>,
    pub(super) verb: Verb,
    /// The template of a page's path; of any other path, only its words.
    pub(super) path: String,
    pub(super) route: Option<&'static str>,
    pub(super) protocol: &'static str,
    pub(super) is_probe: bool,
    pub(super) span: Span,
    pub(super) bytes: u64,
    pub(super) is_cut_off: bool,
    /// `None` if the caller disconnected before the response.
    pub(super) response: Option<ResponseHead>,
}

pub(super) struct ResponseHead {
    pub(super) status: StatusCode,
    pub(super) elapsed: Duration,
}

impl Line {
    pub(super) fn method(&self) -> &'static str {
        self.record.method.get().map_or("none", |method| method.name.as_str())
    }

    pub(super) fn rpc_method(&self) -> &'static str {
        self.record.method.get().map_or("_OTHER", |method| method.path.trim_start_matches('/'))
    }

    pub(super) fn is_head(&self) -> bool {
        self.verb == Verb::HEAD
    }

    /// Returns the verb, or `_OTHER` for an unknown one. This bounds the number of label values.
    pub(super) fn known_verb(&self) -> &'static str {
        let verbs = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "QUERY"];
        verbs.into_iter().find(|verb| *verb == self.verb.as_str()).unwrap_or("_OTHER")
    }

    pub(super) fn span_name(&self) -> String {
        match (self.route, self.record.method.get()) {
            (Some(route), _) => format!("{} {route}", self.known_verb()),
            (None, Some(_)) => self.rpc_method().to_owned(),
            (None, None) => self.known_verb().to_owned(),
        }
    }

    pub(super) fn attributes(&self) -> Vec<KeyValue> {
        let mut attributes = vec![
            KeyValue::new("http.request.method", self.known_verb()),
            KeyValue::new("url.path", self.path.clone()),
            KeyValue::new("rpc.method", self.rpc_method()),
        ];
        if let Some(route) = self.route {
            attributes.push(KeyValue::new("http.route", route));
        } else if self.protocol.starts_with("grpc") {
            attributes.push(KeyValue::new("rpc.system.name", "grpc"));
        }
        attributes.extend(self.record.client.get().map(|client| KeyValue::new("client.address", client.to_string())));
        let caller = self.record.caller.get();
        attributes.extend(caller.map(|caller| KeyValue::new("enduser.id", caller.principal().to_string())));
        attributes
    }

    fn write(&self) {
        let _entered = self.span.enter();
        let method = self.method();
        let caller = self.record.caller.get();
        let principal = caller.map(|caller| display(caller.principal()));
        let account = caller.and_then(Caller::account).map(|account| display(account.0));
        let impersonator = caller.and_then(Caller::impersonator).map(|staff| display(staff.0));
        let client = self.record.client.get().map(display);
        let route = self.route;
        // The path is logged only without a method, whose name and route imply it.
        let path = (method == "none").then_some(self.path.as_str());
        let sent_us = micros(self.began.elapsed());
        let Some(ResponseHead { status, elapsed }) = &self.response else {
            let status = Reason::ClientClosedRequest.facts().http.as_u16();
            tracing::info!(
                method,
                route,
                path,
                status,
                principal,
                impersonator,
                account,
                client,
                elapsed_us = sent_us,
                "request abandoned by its caller"
            );
            return;
        };
        let (status, elapsed_us, bytes) = (status.as_u16(), micros(*elapsed), self.bytes);
        let cut_off = self.is_cut_off.then_some(true);
        let failure = self.context.as_ref().and_then(Context::failure).filter(|_| status >= 400);
        let code = failure.map(|failure| failure.code);
        let cause = failure.and_then(|failure| failure.cause.as_deref());
        let backtrace = failure.and_then(|failure| failure.backtrace.as_deref());
        macro_rules! line {
            ($level:ident, $message:literal) => {
                tracing::$level!(
                    method,
                    route,
                    path,
                    status,
                    principal,
                    impersonator,
                    account,
                    client,
                    bytes,
                    elapsed_us,
                    sent_us,
                    cut_off,
                    code,
                    cause,
                    backtrace,
                    $message
                )
            };
        }
        match status {
            500.. => line!(error, "request failed"),
            // Load balancers probe about once a second.
            _ if self.is_probe => line!(debug, "request completed"),
            _ => line!(info, "request completed"),
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.response.is_none() {
            let status = Reason::ClientClosedRequest.facts().http;
            counter!("mainstay_requests_total", "method" => self.method(), "status" => status.as_str().to_owned())
                .increment(1);
        }
        self.write();
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
