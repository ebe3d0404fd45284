//! Tracing spans of provider calls.

use opentelemetry::{KeyValue, trace::Status};
use tracing::{Instrument as _, Span, debug_span};

use crate::telemetry::traces;

/// The span attributes of a call to a provider without HTTP. They must not contain a secret or a personal address.
#[derive(Debug, Clone, Copy)]
pub struct Call<'c> {
    /// The name of the provider, as in metrics.
    pub provider: &'static str,
    /// The operation.
    pub operation: &'static str,
    /// The host and the port, if known.
    pub server: Option<(&'c str, u16)>,
}

/// Opens the span of a call, if the caller's span is exported.
pub(super) fn open(provider: &'static str) -> Span {
    match traces::is_within_span() {
        true => debug_span!("call", otel.kind = "client", provider),
        false => Span::none(),
    }
}

/// Runs a call in a separate span, if the caller's span is exported. `failure` returns the type of an error.
pub async fn traced<T>(
    call: Call<'_>,
    failure: impl FnOnce(&T) -> Option<&'static str>,
    work: impl Future<Output = T>,
) -> T {
    let span = open(call.provider);
    traces::describe(&span, |exported| {
        exported.update_name(call.operation);
        if let Some((host, port)) = call.server {
            exported.set_attribute(KeyValue::new("server.address", host.to_owned()));
            exported.set_attribute(KeyValue::new("server.port", i64::from(port)));
        }
    });
    let result = work.instrument(span.clone()).await;
    traces::describe(&span, |exported| {
        if let Some(name) = failure(&result) {
            exported.set_status(Status::error(name));
        }
    });
    result
}
