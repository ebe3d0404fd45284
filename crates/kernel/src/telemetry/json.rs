//! The format of a log line: a JSON object with the time, the level, the fields of the event, its target, and the fields of
//! the innermost span under `span`.
//!
//! Every request writes a line. The formatter of `tracing-subscriber` parses the text of the span and writes it again for each
//! event, which takes 1.7 to 4.4 µs of CPU more per line (docs/notes/performance-history.md, The log); this one appends to the
//! text of the line. It also writes 128-bit integers, such as durations, as numbers.

use std::fmt::{self, Write as _};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields,
        format::Writer,
        time::{FormatTime as _, SystemTime},
    },
    registry::LookupSpan,
};

/// Formats lines whose spans were formatted by [`Members`].
#[derive(Debug)]
pub(super) struct Lines;

impl<S: Subscriber + for<'span> LookupSpan<'span>> FormatEvent<S, Members> for Lines {
    fn format_event(
        &self,
        context: &FmtContext<'_, S, Members>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        line.write_str(r#"{"timestamp":""#)?;
        SystemTime.format_time(&mut line)?;
        write!(line, r#"","level":"{}""#, metadata.level())?;
        Members.format_fields(line.by_ref(), event)?;
        line.write_str(r#","target":"#)?;
        string(&mut line, metadata.target())?;
        if let Some(span) = context.parent_span() {
            line.write_str(r#","span":{"name":"#)?;
            string(&mut line, span.name())?;
            if let Some(members) = span.extensions().get::<FormattedFields<Members>>() {
                line.write_str(members)?;
            }
            line.write_char('}')?;
        }
        line.write_str("}\n")
    }
}

/// Formats fields as members of an object, each with a comma before it.
#[derive(Debug)]
pub(super) struct Members;

impl<'w> FormatFields<'w> for Members {
    fn format_fields<R: RecordFields>(&self, to: Writer<'w>, fields: R) -> fmt::Result {
        let mut members = MemberWriter { to, result: Ok(()) };
        fields.record(&mut members);
        members.result
    }

    /// Appends fields that are recorded later. No field is recorded twice.
    fn add_fields(&self, current: &'w mut FormattedFields<Self>, fields: &tracing::span::Record<'_>) -> fmt::Result {
        self.format_fields(current.as_writer(), fields)
    }
}

struct MemberWriter<'w> {
    to: Writer<'w>,
    result: fmt::Result,
}

impl MemberWriter<'_> {
    fn member(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        // A raw identifier such as `r#type` has its prefix in Rust only.
        let name = field.name();
        let name = name.strip_prefix("r#").unwrap_or(name);
        let to = &mut self.to;
        self.result = self.result.and_then(|()| {
            to.write_char(',')?;
            string(to, name)?;
            to.write_char(':')?;
            value(to)
        });
    }
}

macro_rules! record_plain {
    ($($record:ident: $type:ty),*) => {$(
        fn $record(&mut self, field: &Field, value: $type) {
            self.member(field, |to| write!(to, "{value}"));
        }
    )*};
}

impl Visit for MemberWriter<'_> {
    record_plain!(record_i64: i64, record_u64: u64, record_i128: i128, record_u128: u128, record_bool: bool);

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has neither infinity nor NaN.
        self.member(field, |to| if value.is_finite() { write!(to, "{value:?}") } else { to.write_str("null") });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field, |to| string(to, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.member(field, |to| {
            to.write_char('"')?;
            write!(Escaped(&mut *to), "{value:?}")?;
            to.write_char('"')
        });
    }
}

fn string(to: &mut Writer<'_>, text: &str) -> fmt::Result {
    to.write_char('"')?;
    Escaped(&mut *to).write_str(text)?;
    to.write_char('"')
}

/// Writes text as the inside of a JSON string (RFC 8259, section 7).
struct Escaped<'t, 'w>(&'t mut Writer<'w>);

impl fmt::Write for Escaped<'_, '_> {
    fn write_str(&mut self, mut text: &str) -> fmt::Result {
        while let Some(at) = text.bytes().position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
            // These bytes are single ASCII characters, so that the split is on a character boundary.
            let (plain, rest) = text.split_at(at);
            let (special, rest) = rest.split_at(1);
            self.0.write_str(plain)?;
            match special {
                "\"" => self.0.write_str("\\\"")?,
                "\\" => self.0.write_str("\\\\")?,
                "\n" => self.0.write_str("\\n")?,
                "\r" => self.0.write_str("\\r")?,
                "\t" => self.0.write_str("\\t")?,
                other => other.bytes().try_for_each(|byte| write!(self.0, "\\u{byte:04x}"))?,
            }
            text = rest;
        }
        self.0.write_str(text)
    }
}

#[cfg(test)]
mod tests;
