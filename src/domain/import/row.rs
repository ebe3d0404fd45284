//! One row: what its fields become, and what is wrong with them.

use serde_json::Value;

use super::Row;
use crate::domain::ticket::{Content, DEFAULT_LANGUAGE, DEFAULT_QUEUE, Kind, Priority};

const MAX_SUBJECT: usize = 200;
const MAX_BODY: usize = 20_000;
const MAX_TAGS: usize = 20;
const MAX_NAME: usize = 60;
const MAX_TAG: usize = 100;

/// The fields of a row, by what they mean.
#[derive(Debug, Default)]
pub(super) struct Fields {
    subject: String,
    body: String,
    answer: String,
    kind: String,
    priority: String,
    queue: String,
    language: String,
    tags: Vec<String>,
}

impl Fields {
    pub(super) fn set(&mut self, name: &str, value: &str) {
        // Exports write line breaks as two characters.
        let text = || value.replace("\\n", "\n").replace("\r\n", "\n").trim().to_owned();
        match name {
            "subject" => self.subject = text().split_whitespace().collect::<Vec<_>>().join(" "),
            "body" => self.body = text(),
            "answer" => self.answer = text(),
            "type" | "kind" => self.kind = text(),
            "priority" => self.priority = text(),
            "queue" => self.queue = text(),
            "language" => self.language = text(),
            name if name == "tags" || name.starts_with("tag_") => {
                let tag = text();
                if !tag.is_empty() && !self.tags.contains(&tag) {
                    self.tags.push(tag);
                }
            }
            _ => {}
        }
    }

    /// The row, or everything that is wrong with it.
    pub(super) fn check(self) -> Result<Row, String> {
        let mut faults = Vec::new();
        let mut bound = |name: &str, text: &str, min: usize, max: usize| {
            let length = text.chars().count();
            if !(min..=max).contains(&length) {
                faults.push(format!("`{name}` must be {min} to {max} characters"));
            }
            if text.contains('\0') {
                faults.push(format!("`{name}` must not contain NUL characters"));
            }
        };
        bound("subject", &self.subject, 0, MAX_SUBJECT);
        bound("body", &self.body, 1, MAX_BODY);
        bound("answer", &self.answer, 0, MAX_BODY);
        bound("queue", &self.queue, 0, MAX_NAME);
        bound("language", or(&self.language, DEFAULT_LANGUAGE), 2, 35);
        for tag in &self.tags {
            bound("tag", tag, 1, MAX_TAG);
        }
        if self.tags.len() > MAX_TAGS {
            faults.push(format!("must have at most {MAX_TAGS} tags"));
        }
        let kind = kind(&self.kind).unwrap_or_else(|| {
            faults.push("`type` must be Incident, Request, Problem or Change".to_owned());
            Kind::Request
        });
        let priority = priority(&self.priority).unwrap_or_else(|| {
            faults.push("`priority` must be low, medium, high or urgent".to_owned());
            Priority::Medium
        });
        if !faults.is_empty() {
            return Err(faults.join("; "));
        }
        let subject = if self.subject.is_empty() { beginning(&self.body) } else { self.subject };
        let queue = or(&self.queue, DEFAULT_QUEUE).to_owned();
        let language = or(&self.language, DEFAULT_LANGUAGE).to_owned();
        let content = Content { subject, body: self.body, kind, priority, queue, language, tags: self.tags };
        Ok(Row { content, answer: Some(self.answer).filter(|answer| !answer.is_empty()) })
    }
}

fn or<'a>(text: &'a str, default: &'a str) -> &'a str {
    if text.is_empty() { default } else { text }
}

fn kind(text: &str) -> Option<Kind> {
    match text.to_lowercase().as_str() {
        "incident" => Some(Kind::Incident),
        "request" | "" => Some(Kind::Request),
        "problem" => Some(Kind::Problem),
        "change" => Some(Kind::Change),
        _ => None,
    }
}

fn priority(text: &str) -> Option<Priority> {
    match text.to_lowercase().as_str() {
        "low" => Some(Priority::Low),
        "medium" | "" => Some(Priority::Medium),
        "high" => Some(Priority::High),
        "urgent" => Some(Priority::Urgent),
        _ => None,
    }
}

/// The start of a text as one line, cut between words where there are any.
fn beginning(body: &str) -> String {
    let mut subject = String::new();
    for word in body.split_whitespace() {
        let gap = usize::from(!subject.is_empty());
        if subject.chars().count() + gap + word.chars().count() > MAX_SUBJECT {
            break;
        }
        if gap == 1 {
            subject.push(' ');
        }
        subject.push_str(word);
    }
    if subject.is_empty() { body.trim().chars().take(MAX_SUBJECT).collect() } else { subject }
}

/// A row of NDJSON: an object with the same names, and `tags` as a list.
pub(super) fn from_json(line: &[u8]) -> Result<Row, String> {
    let value: Value = serde_json::from_slice(line).map_err(|error| format!("is not JSON: {error}"))?;
    let Value::Object(object) = value else { return Err("is not a JSON object".to_owned()) };
    let mut fields = Fields::default();
    for (name, value) in &object {
        match value {
            Value::Null => {}
            Value::String(text) => fields.set(&name.to_lowercase(), text),
            Value::Array(tags) if name == "tags" => {
                for tag in tags {
                    fields.set("tags", tag.as_str().ok_or("`tags` must be strings")?);
                }
            }
            _ => return Err(format!("`{name}` must be a string")),
        }
    }
    fields.check()
}
