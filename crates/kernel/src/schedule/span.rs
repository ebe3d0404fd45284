//! The span and the context of a task's run. The run has its own trace, because no request caused it, and an id.

use tracing::{
    Span,
    field::{Empty, display},
    info_span,
};

use crate::{
    app::App,
    context::{Context, Origin},
    id,
    telemetry::traces,
};

/// Opens the span of a run, and creates its context.
pub(super) fn open(app: &App, task: &'static str) -> (Span, Context) {
    let span = info_span!(parent: None, "task", task, id = Empty, trace_id = Empty);
    traces::describe(&span, |exported| exported.update_name(format!("task {task}")));
    let id = id::new(app.clock.now()).to_string();
    span.record("id", display(&id));
    if let Some(trace) = traces::trace_id(&span) {
        span.record("trace_id", display(trace));
    }
    (span, Context::new(id).with_alerts(&app.alerts).with_origin(Origin::system(format!("task {task}"))))
}
