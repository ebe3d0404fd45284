//! Tracing spans of SQL statements.
//!
//! The trace is not added to the statements as a comment (sqlcommenter). A statement is prepared once per connection by
//! its text, and a different text per request would make Postgres parse and plan every statement again. Instead, each
//! span has the backend process id of its connection, which identifies its lines in the log of Postgres
//! (`log_line_prefix = '%m [%p] '`).

use std::collections::VecDeque;

use diesel::{
    connection::{Instrumentation, InstrumentationEvent},
    define_sql_function,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};
use opentelemetry::{KeyValue, trace::Status};
use tracing::{Span, debug_span};

use super::traces;

const MAX_TEXT_CHARS: usize = 2 << 10;
/// The limit exceeds the open statements of any pipeline. Statements that are dropped early leave their spans behind.
const MAX_OPEN: usize = 64;

/// Returns the id of the Postgres backend process of a connection; 0 if it does not answer.
pub(crate) async fn backend_pid(connection: &mut AsyncPgConnection) -> i32 {
    define_sql_function! { fn pg_backend_pid() -> Integer; }
    diesel::select(pg_backend_pid()).get_result(connection).await.unwrap_or_default()
}

#[derive(Debug)]
pub(crate) struct Statements {
    backend_pid: i32,
    /// The open spans in the order of sending, which is the order of the responses.
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
                    // The event contains the text without the values of parameters.
                    let text: String = query.to_string().chars().take(MAX_TEXT_CHARS).collect();
                    let operation = text.split_whitespace().next().unwrap_or_default().to_uppercase();
                    exported.update_name(operation.clone());
                    exported.set_attribute(KeyValue::new("db.operation.name", operation));
                    exported.set_attribute(KeyValue::new("db.query.text", text));
                    // The text of the error may quote values.
                    if error.is_some() {
                        exported.set_status(Status::error("the statement failed"));
                    }
                });
            }
            _ => {}
        }
    }
}
