//! Spans of calls to providers.

use opentelemetry::{KeyValue, trace::Status};
use tracing::{Instrument as _, Span, debug_span};

use crate::telemetry::traces;

/// A call to a provider that does not use HTTP, for its span. Neither may hold a secret or an address of a person.
#[derive(Debug, Clone, Copy)]
pub struct Call<'c> {
    /// The name of the provider, as in metrics.
    pub provider: &'static str,
    /// What is done.
    pub operation: &'static str,
    /// The host and the port; `None`: they are not known.
    pub server: Option<(&'c str, u16)>,
}

/// Opens the span of a call, if its caller has one that is exported.
pub(super) fn open(provider: &'static str) -> Span {
    match traces::is_within_span() {
        true => debug_span!("call", otel.kind = "client", provider),
        false => Span::none(),
    }
}

/// Makes a call within a span of its own, if its caller has one that is exported. `failure` names what went wrong.
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
