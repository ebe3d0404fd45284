//! Spans of statements.
//!
//! The trace is not written into the statements as a comment (sqlcommenter): a statement is prepared once per connection
//! under its text, and a text of its own for each request would have every statement parsed and planned again. Instead
//! each span has the process id of its connection, by which the log of Postgres (`log_line_prefix = '%m [%p] '`) is found.

use std::collections::VecDeque;

use diesel::{
    connection::{Instrumentation, InstrumentationEvent},
    define_sql_function,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};
use opentelemetry::{KeyValue, trace::Status};
use tracing::{Span, debug_span};

use super::traces;

/// The maximum length of the text of a statement in a span.
const MAX_TEXT_CHARS: usize = 2 << 10;
/// More than any pipeline has open. Statements that are dropped before they end leave their spans behind.
const MAX_OPEN: usize = 64;

/// Returns the id of the process in Postgres that serves a connection; 0 if it does not answer.
pub(crate) async fn backend_pid(connection: &mut AsyncPgConnection) -> i32 {
    define_sql_function! { fn pg_backend_pid() -> Integer; }
    diesel::select(pg_backend_pid()).get_result(connection).await.unwrap_or_default()
}

/// Makes a span of each statement of a connection.
#[derive(Debug)]
pub(crate) struct Statements {
    /// The id of the process in Postgres that serves the connection.
    backend_pid: i32,
    /// In the order in which they were sent, which is that of their responses.
    open: VecDeque<Span>,
}

impl Statements {
    pub(crate) fn new(backend_pid: i32) -> Self {
        Self { backend_pid, open: VecDeque::new() }
    }
}

impl Instrumentation for Statements {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            InstrumentationEvent::StartQuery { .. } => {
                if self.open.len() >= MAX_OPEN {
                    self.open.pop_front();
                }
                let is_observed = traces::is_within_span();
                let backend_pid = self.backend_pid;
                self.open.push_back(if is_observed {
                    debug_span!(
                        "statement",
                        otel.kind = "client",
                        db.system.name = "postgresql",
                        postgresql.process_id = backend_pid
                    )
                } else {
                    Span::none()
                });
            }
            InstrumentationEvent::FinishQuery { query, error, .. } => {
                let Some(span) = self.open.pop_front() else { return };
                traces::describe(&span, |exported| {
                    // Without the values: this event has the text alone.
                    let text: String = query.to_string().chars().take(MAX_TEXT_CHARS).collect();
                    let operation = text.split_whitespace().next().unwrap_or_default().to_uppercase();
                    exported.update_name(operation.clone());
                    exported.set_attribute(KeyValue::new("db.operation.name", operation));
                    exported.set_attribute(KeyValue::new("db.query.text", text));
                    // The error's own text may quote values.
                    if error.is_some() {
                        exported.set_status(Status::error("the statement failed"));
                    }
                });
            }
            _ => {}
        }
    }
}
