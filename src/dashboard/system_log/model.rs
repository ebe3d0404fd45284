//! Lines of the log.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use mainstay_kernel::{
    id,
    numbered::numbered,
    page::{Key, Start},
};
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use uuid::Uuid;

numbered! {
    /// The severity of a line, the most severe first.
    Level {
        Error = 1 => "ERROR",
        Warning = 2 => "WARN",
        Info = 3 => "INFO",
        Debug = 4 => "DEBUG",
        Trace = 5 => "TRACE",
    }
}

impl Level {
    /// Finds the level of a line without parsing the rest.
    pub fn of(line: &[u8]) -> Option<Self> {
        const MEMBER: &[u8] = br#""level":""#;
        // Only the timestamp precedes the level.
        let at = line.windows(MEMBER.len()).position(|part| part == MEMBER)?;
        let name = line.get(at + MEMBER.len()..)?.split(|&byte| byte == b'"').next()?;
        Self::from_name(str::from_utf8(name).ok()?)
    }
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    pub level: Level,
    pub message: String,
    pub method: Option<String>,
    pub request_id: Option<String>,
    pub principal_id: Option<String>,
    /// The whole line, in JSON.
    pub line: String,
}

/// The members of a line that are parsed. Every request writes a line, so the other members are skipped.
#[derive(Deserialize)]
struct JsonLine<'l> {
    #[serde(borrow)]
    timestamp: Cow<'l, str>,
    #[serde(borrow)]
    level: Cow<'l, str>,
    #[serde(borrow)]
    target: Cow<'l, str>,
    #[serde(borrow, default)]
    message: Text<'l>,
    #[serde(borrow, default)]
    method: Text<'l>,
    #[serde(borrow, default)]
    principal: Text<'l>,
    #[serde(borrow, default)]
    span: Span<'l>,
}

#[derive(Default, Deserialize)]
struct Span<'l> {
    #[serde(borrow, default)]
    id: Text<'l>,
}

/// A text; `None` if the member is absent, or has another type.
#[derive(Default)]
struct Text<'l>(Option<Cow<'l, str>>);

impl<'de: 'l, 'l> Deserialize<'de> for Text<'l> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Value<'v> {
            Text(#[serde(borrow)] Cow<'v, str>),
            Other(IgnoredAny),
        }
        Ok(match Value::deserialize(deserializer)? {
            Value::Text(text) => Self(Some(text)),
            Value::Other(IgnoredAny) => Self(None),
        })
    }
}

/// The target of lines about the log store itself. They are not stored, because storing them would cause an endless
/// loop.
const OWN_TARGET: &str = "mainstay::dashboard::system_log";

impl Line {
    /// Parses a line as it is written to stderr; `None` if the line is excluded from the store, or is not a line of the
    /// log.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let entry: JsonLine<'_> = serde_json::from_slice(bytes).ok()?;
        if entry.target.starts_with(OWN_TARGET) {
            return None;
        }
        // Postgres can't store NUL.
        let text = |Text(value): Text<'_>| value.map(|text| text.replace('\0', "\u{fffd}"));
        let at = DateTime::parse_from_rfc3339(&entry.timestamp).ok()?.to_utc();
        Some(Self {
            id: id::new(at),
            at,
            level: Level::from_name(&entry.level)?,
            message: text(entry.message).unwrap_or_default(),
            method: text(entry.method),
            request_id: text(entry.span.id),
            principal_id: text(entry.principal),
            line: String::from_utf8_lossy(bytes).trim_end().to_owned(),
        })
    }

    /// Returns the position in the list.
    pub fn key(&self) -> Key {
        Key { rank: None, time: self.at, id: self.id }
    }
}

/// The conditions that lines must meet; a field that is `None` sets no condition.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub from: Option<DateTime<Utc>>,
    /// The end, exclusive.
    pub until: Option<DateTime<Utc>>,
    /// The least severe level.
    pub level: Option<Level>,
    pub method: Option<String>,
    pub request_id: Option<String>,
    pub principal_id: Option<String>,
    pub text: Option<String>,
}

impl Filter {
    /// Returns whether a line meets the conditions.
    pub fn admits(&self, line: &Line) -> bool {
        let same = |condition: &Option<String>, value: &Option<String>| condition.is_none() || condition == value;
        self.from.is_none_or(|from| line.at >= from)
            && self.until.is_none_or(|until| line.at < until)
            && self.level.is_none_or(|level| line.level <= level)
            && same(&self.method, &line.method)
            && same(&self.request_id, &line.request_id)
            && same(&self.principal_id, &line.principal_id)
            && self.text.as_ref().is_none_or(|text| line.line.to_lowercase().contains(&text.to_lowercase()))
    }

    /// Returns at most `limit` lines that meet the conditions and follow the start, newest first.
    pub fn select<'l>(&self, lines: impl Iterator<Item = &'l Line>, start: Start, limit: usize) -> Vec<Line> {
        let is_beyond = |line: &Line| match start {
            Start::Offset(_) => true,
            Start::After(key) => (line.at, line.id) < (key.time, key.id),
        };
        let mut matching: Vec<_> = lines.filter(|line| is_beyond(line) && self.admits(line)).collect();
        matching.sort_by_key(|line| std::cmp::Reverse((line.at, line.id)));
        matching.into_iter().take(limit).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"timestamp":"2026-03-02T08:15:30.123456Z","level":"INFO","message":"request completed","method":"TicketService.GetTicket","status":200,"principal":"0197b5ea-51d0-7f4c-b6d5-93a1c8e0f417","target":"mainstay_kernel::http::middleware::trace::line","span":{"id":"request-1","name":"request"}}
"#;

    #[test]
    fn a_line_is_read_as_it_is_written() {
        let line = Line::read(LINE.as_bytes()).expect("a line");
        assert_eq!(line.at.timestamp_micros(), 1_772_439_330_123_456);
        assert_eq!((line.level, line.message.as_str()), (Level::Info, "request completed"));
        assert_eq!(line.method.as_deref(), Some("TicketService.GetTicket"));
        assert_eq!(line.request_id.as_deref(), Some("request-1"));
        assert_eq!(line.principal_id.as_deref(), Some("0197b5ea-51d0-7f4c-b6d5-93a1c8e0f417"));
        assert_eq!(line.line, LINE.trim_end());
        assert_eq!(Level::of(LINE.as_bytes()), Some(Level::Info));
        let odd = LINE
            .replace(r#""TicketService.GetTicket""#, "7")
            .replace("request completed", r#"\"level\":\"WARN\"\u0000"#);
        let odd = Line::read(odd.as_bytes()).expect("a line");
        assert_eq!((odd.method, odd.message.as_str()), (None, "\"level\":\"WARN\"\u{fffd}"));
        assert_eq!(Line::read(b"not a line"), None);
        let own = LINE.replace("mainstay_kernel::http", "mainstay::dashboard::system_log");
        assert_eq!(Line::read(own.as_bytes()), None, "it would be about itself");
    }

    #[test]
    fn lines_are_selected_as_they_are_asked_for() {
        let mut lines = Vec::new();
        for number in 0..10 {
            let text =
                LINE.replace("30.123456", &format!("3{number}.0")).replace("request-1", &format!("request-{number}"));
            let text = if number == 3 { text.replace("INFO", "WARN") } else { text };
            lines.push(Line::read(text.as_bytes()).expect("a line"));
        }
        let select = |filter: Filter, start| -> Vec<_> {
            let selection = filter.select(lines.iter(), start, 3).into_iter();
            selection.map(|line| line.request_id.expect("an id").replace("request-", "")).collect()
        };
        let all = Filter::default();
        assert_eq!(select(all.clone(), Start::Offset(0)), ["9", "8", "7"]);
        assert_eq!(select(all, Start::After(lines[2].key())), ["1", "0"]);
        let warnings = Filter { level: Some(Level::Warning), ..Filter::default() };
        assert_eq!(select(warnings, Start::Offset(0)), ["3"]);
        let times = Filter { from: Some(lines[4].at), until: Some(lines[6].at), ..Filter::default() };
        assert_eq!(select(times, Start::Offset(0)), ["5", "4"]);
        let text = Filter { text: Some("REQUEST-7".to_owned()), ..Filter::default() };
        assert_eq!(select(text, Start::Offset(0)), ["7"]);
        let method = Filter { method: Some("TicketService".to_owned()), ..Filter::default() };
        assert!(select(method, Start::Offset(0)).is_empty());
    }
}
