//! Turns the statements that the server sends for one request, as Postgres logs them, into a pgbench script. So the
//! comparison always has the statements of the current server.

use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::copies::copy_sql;

/// One statement, with its parameters as text.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    sql: String,
    parameters: Vec<Option<String>>,
    at: DateTime<Utc>,
}

/// The relevant fields of a log line.
#[derive(Debug, Deserialize)]
struct Line {
    timestamp: String,
    #[serde(default)]
    application_name: String,
    message: String,
    #[serde(default)]
    detail: String,
}

/// The application name of the recorder's own connection.
pub(crate) const APPLICATION: &str = "bench";
/// The application names of the server's connections that run the statements of requests and jobs. The connection that
/// stores the log is excluded, because it writes every second, independently of requests.
const SERVER_APPLICATIONS: [&str; 2] = ["mainstay", "mainstay-shared"];
const BEGIN: &str = "SELECT 'the recording begins'";
const END: &str = "SELECT 'the recording ends'";
/// The longest wait for the log: Postgres writes it slightly after it reports a statement as done.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Records the statements of `request`, which runs while the server is otherwise idle. Two requests are sent first: the
/// first request of a kind also prepares statements, and the server's sessions log statements only after the reload.
pub(crate) async fn record(
    sql: &Client,
    mut request: impl AsyncFnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Statement>> {
    request().await?;
    sql.batch_execute("ALTER SYSTEM SET log_statement = 'all'").await?;
    sql.batch_execute("SELECT pg_reload_conf()").await?;
    // Sessions apply a reload before their next statement; wait until this session shows the new setting.
    while sql.query_one("SHOW log_statement", &[]).await?.get::<_, String>(0) != "all" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    request().await?;
    sql.batch_execute(BEGIN).await?;
    request().await?;
    sql.batch_execute(END).await?;
    sql.batch_execute("ALTER SYSTEM RESET log_statement").await?;
    sql.batch_execute("SELECT pg_reload_conf()").await?;
    let lines = lines(sql).await?;
    let statements = lines
        .iter()
        .filter(|line| SERVER_APPLICATIONS.contains(&line.application_name.as_str()))
        .filter_map(Statement::read);
    let statements: Vec<_> = statements.collect();
    anyhow::ensure!(!statements.is_empty(), "the request sent no statements to Postgres");
    Ok(statements)
}

/// The lines between the marks of the last recording.
async fn lines(sql: &Client) -> anyhow::Result<Vec<Line>> {
    let deadline = tokio::time::Instant::now() + TIMEOUT;
    loop {
        let log = sql.query_one("SELECT pg_read_file(pg_current_logfile('jsonlog'))", &[]).await?.get::<_, String>(0);
        let after = |mark: &str| log.rfind(mark).map(|at| log[at..].find('\n').map_or(log.len(), |end| at + end + 1));
        if let (Some(begin), Some(end)) = (after(BEGIN), log.rfind(END))
            && begin < end
        {
            let line = |line: &str| serde_json::from_str(line).with_context(|| line.to_owned());
            let mut between: Vec<_> = log[begin..end].lines().collect();
            // The beginning of the line of the mark itself.
            between.pop();
            return between.into_iter().map(line).collect();
        }
        anyhow::ensure!(tokio::time::Instant::now() < deadline, "Postgres logs nothing");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl Statement {
    fn read(line: &Line) -> Option<Self> {
        let (kind, sql) = line.message.split_once(": ")?;
        if kind != "statement" && !kind.starts_with("execute ") {
            return None;
        }
        let at = DateTime::parse_from_str(&line.timestamp.replace("UTC", "+0000"), "%Y-%m-%d %H:%M:%S%.3f %z").ok()?;
        Some(Self { sql: sql.to_owned(), parameters: parameters(&line.detail), at: at.to_utc() })
    }

    pub(crate) fn sql(&self) -> &str {
        &self.sql
    }

    pub(crate) fn parameter(&self, number: usize) -> Option<&str> {
        self.parameters.get(number.checked_sub(1)?)?.as_deref()
    }

    /// The statement with its parameters inlined as `render` returns them, without a terminator.
    fn render(&self, render: impl Fn(&str) -> String) -> String {
        let mut rendered = String::new();
        let mut rest = self.sql.as_str();
        while let Some(at) = rest.find('$') {
            let digits: String = rest[at + 1..].chars().take_while(char::is_ascii_digit).collect();
            rendered.push_str(&rest[..at]);
            rest = &rest[at + 1 + digits.len()..];
            match digits.parse().ok().and_then(|number: usize| self.parameters.get(number.wrapping_sub(1))) {
                Some(Some(text)) => rendered.push_str(&render(text)),
                Some(None) => rendered.push_str("NULL"),
                None => rendered.push_str(&format!("${digits}")),
            }
        }
        rendered + rest.trim_end().trim_end_matches(';')
    }

    /// The statement as recorded.
    pub(crate) fn as_recorded(&self) -> String {
        self.render(literal)
    }

    /// The statement as recorded, except for the parameters that `replace` substitutes.
    pub(crate) fn with_replacements(&self, replace: impl Fn(&str) -> Option<String>) -> String {
        self.render(|text| replace(text).unwrap_or_else(|| literal(text)))
    }

    /// The statement for the run `:run` of the client `:client_id`. It replaces the values that the recorded request
    /// created: ids, except those in `fixtures`; keys of 32 bytes; lock numbers; and times, relative to the statement's
    /// time.
    pub(crate) fn for_another_run(&self, fixtures: &[Uuid]) -> String {
        self.render(|text| {
            let lock = text.parse::<i64>().ok().filter(|number| number.unsigned_abs() > 1 << 48);
            if let Some(lock) = lock {
                return format!("('{lock}'::bigint # (:run::bigint * 4096 + :client_id::bigint))");
            }
            if let Some(bytes) = text.strip_prefix("\\x").filter(|bytes| bytes.len() == 64) {
                return format!("sha256(('{bytes}' || :run::text || ' ' || :client_id::text)::bytea)");
            }
            if let Some(offset) = self.offset(text) {
                return format!("(clock_timestamp() + '{offset} microseconds'::interval)");
            }
            copied(text, fixtures)
        })
    }

    /// The distance from now of a time that belongs to the request.
    fn offset(&self, text: &str) -> Option<i64> {
        let time = DateTime::parse_from_str(&format!("{text}00"), "%Y-%m-%d %H:%M:%S%.f%z").ok()?;
        let offset = time.to_utc() - self.at;
        (offset.abs() < TimeDelta::hours(2)).then(|| offset.num_microseconds()).flatten()
    }
}

/// A text as an expression in which every id is replaced by its copy.
fn copied(text: &str, fixtures: &[Uuid]) -> String {
    // Other types than text need a cast, because an expression is not a literal.
    let is_id = |text: &str| [36, 32].contains(&text.len()) && Uuid::try_parse(text).is_ok();
    let array = text.strip_prefix('{').and_then(|ids| ids.strip_suffix('}'));
    let of_type = match array {
        Some(ids) if ids.split(',').all(is_id) => "::uuid[]",
        None if is_id(text) => "::uuid",
        _ => "",
    };
    let (mut parts, mut literal_from, mut at) = (Vec::new(), 0, 0);
    while at < text.len() && !text.starts_with("\\x") {
        let occurrence = [36, 32].into_iter().find_map(|length| {
            let id = Uuid::try_parse(text.get(at..at + length)?).ok()?;
            (!fixtures.contains(&id)).then_some((id, length))
        });
        match occurrence {
            Some((id, length)) => {
                parts.push(literal(&text[literal_from..at]));
                parts.push(copy_sql(id, ":client_id", ":run"));
                at += length;
                literal_from = at;
            }
            None => at += text[at..].chars().next().map_or(1, char::len_utf8),
        }
    }
    if parts.is_empty() {
        // A literal in a CASE has the type text unless it is cast.
        let of_bytes = if text.starts_with("\\x") { "::bytea" } else { "" };
        return format!("{}{of_bytes}", literal(text));
    }
    parts.push(literal(&text[literal_from..]));
    parts.retain(|part| part != "''");
    format!("({}){of_type}", parts.join(" || "))
}

/// A text as a literal. pgbench interprets a colon as a variable, even inside quotes.
fn literal(text: &str) -> String {
    let is_plain = !text.contains(['\\', ':']);
    let quoted = text.replace('\\', "\\\\").replace('\'', "''").replace(':', "\\x3A");
    if is_plain { format!("'{quoted}'") } else { format!("E'{quoted}'") }
}

/// Parses `parameters: $1 = 'it''s', $2 = NULL`; the texts may contain anything.
fn parameters(detail: &str) -> Vec<Option<String>> {
    let mut rest = detail.split_once(": ").map(|(_, rest)| rest).unwrap_or_default();
    let mut values = Vec::new();
    while let Some((_, value)) = rest.split_once(" = ") {
        let Some(quoted) = value.strip_prefix('\'') else {
            values.push(None);
            rest = value.split_once(", ").map(|(_, rest)| rest).unwrap_or_default();
            continue;
        };
        let mut text = String::new();
        let mut characters = quoted.char_indices().peekable();
        rest = "";
        while let Some((at, character)) = characters.next() {
            if character != '\'' {
                text.push(character);
            } else if characters.next_if(|(_, next)| *next == '\'').is_some() {
                text.push('\'');
            } else {
                rest = &quoted[at + 1..];
                break;
            }
        }
        values.push(Some(text));
    }
    values
}
