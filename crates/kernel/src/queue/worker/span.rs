//! The span and the context of a run. The span belongs to the trace of the origin of the job or the due row, and the
//! context has a separate request id.

use opentelemetry::KeyValue;
use tracing::{
    Span,
    field::{Empty, display},
    info_span,
};
use uuid::Uuid;

use super::Worker;
use crate::{
    context::{Context, Origin},
    id,
    queue::{Kind, store::LeasedJob},
    telemetry::traces,
};

/// Opens the span of a run.
pub(super) fn of_job(kind: Kind, job: &LeasedJob) -> Span {
    let span = info_span!(parent: None, "job", kind = kind.name, job = job.id, attempt = job.attempts, id = Empty,
        trace_id = Empty, otel.kind = Empty);
    finish(span, kind.name, job.traceparent.as_deref())
}

/// Opens the span of a due row's processing.
pub(super) fn of_row(name: &'static str, row: Uuid, traceparent: Option<&str>) -> Span {
    let span =
        info_span!(parent: None, "job", kind = name, row = %row, id = Empty, trace_id = Empty, otel.kind = Empty);
    finish(span, name, traceparent)
}

/// Connects a span with the trace of its origin. The log has the trace id even if the trace is not exported.
fn finish(span: Span, name: &'static str, traceparent: Option<&str>) -> Span {
    if traces::is_active() {
        span.record("otel.kind", "consumer");
    }
    traces::continue_from(&span, traceparent);
    traces::describe(&span, |exported| {
        exported.update_name(format!("job {name}"));
        exported.set_attribute(KeyValue::new("messaging.destination.name", name));
    });
    let trace = traces::trace_id(&span).map(|id| id.to_string());
    if let Some(trace) = trace.or_else(|| traceparent?.get(3..35).map(str::to_owned)) {
        span.record("trace_id", display(trace));
    }
    span
}

pub(super) fn context(worker: &Worker, kind: &str, span: &Span, traceparent: Option<&str>) -> Context {
    let id = id::new(worker.app.clock.now()).to_string();
    span.record("id", display(&id));
    let context = Context::new(id).with_traceparent(traceparent).with_alerts(&worker.app.alerts);
    context.with_origin(Origin::system(format!("job {kind}")))
}
