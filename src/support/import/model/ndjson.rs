//! Files with one JSON object per line.

use std::{
    fmt,
    io::{BufRead as _, BufReader, Read},
};

use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};

use crate::support::import::model::{Entry, Fault, Row, decode::Utf8, lines::Lines, options::ReadOptions, row::Raw};

/// The most characters of what is wrong with a line: serde quotes what it did not expect, which may be as long as the
/// file.
const MAX_ERROR_CHARS: usize = 300;

#[derive(Debug, Deserialize)]
struct Object {
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    answer: Option<String>,
    #[serde(default, alias = "type")]
    kind: Option<String>,
    #[serde(default)]
    queue: Option<String>,
    #[serde(default)]
    priority: Option<String>,
    #[serde(default)]
    language: Option<String>,
    #[serde(default)]
    tags: Option<Tags>,
}

/// A line of the export of tickets.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exported {
    data: Object,
}

/// The tags of a row. A list of some megabytes is not kept.
#[derive(Debug, Default)]
struct Tags(Raw);

impl<'de> Deserialize<'de> for Tags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Self::default())
    }
}

impl<'de> Visitor<'de> for Tags {
    type Value = Self;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut tags: A) -> Result<Self, A::Error> {
        while let Some(tag) = tags.next_element::<String>()? {
            self.0.push_tag(&tag);
        }
        Ok(self)
    }
}

pub(crate) fn read(file: impl Read, options: ReadOptions, each: &mut impl FnMut(Entry) -> bool) -> Result<(), Fault> {
    let mut lines = BufReader::new(Lines::new(Utf8::new(file, options.charset), None));
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        if !each(Entry { line: number, row: row(&line, options.unescapes_newlines) }) {
            break;
        }
    }
    Ok(())
}

fn row(line: &[u8], unescapes: bool) -> Result<Row, String> {
    let text = std::str::from_utf8(line).map_err(|_| "line is not UTF-8".to_owned())?;
    // Files that were joined have a byte order mark in the middle.
    let text = text.trim_start_matches('\u{feff}');
    // serde would accept an array of the fields in order.
    if !text.trim_start().starts_with('{') {
        return Err("line is not a ticket: it is no JSON object".to_owned());
    }
    let exported = serde_json::from_str(text).map(|Exported { data }| data);
    let object: Object = exported.or_else(|_| serde_json::from_str(text)).map_err(|error| {
        if error.is_eof() && !text.ends_with('\n') {
            return "line ends in the middle".to_owned();
        }
        // The line in serde's position is always 1 here, and would be mistaken for the line of the file.
        let what = error.to_string();
        let what = what.split(" at line ").next().unwrap_or_default();
        let what = match what.char_indices().nth(MAX_ERROR_CHARS) {
            Some((end, _)) => format!("{}…", &what[..end]),
            None => what.to_owned(),
        };
        format!("line is not a ticket: {what} (column {})", error.column())
    })?;
    let raw = Raw {
        subject: object.subject.unwrap_or_default(),
        body: object.body.unwrap_or_default(),
        answer: object.answer.unwrap_or_default(),
        kind: object.kind.unwrap_or_default(),
        queue: object.queue.unwrap_or_default(),
        priority: object.priority.unwrap_or_default(),
        language: object.language.unwrap_or_default(),
        has_exact_breaks: true,
        ..object.tags.unwrap_or_default().0
    };
    raw.row(unescapes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_row() {
        let file = "{\"body\":\"a\",\"type\":\"Problem\",\"tags\":[\"x\"],\"more\":1}\n\n[]\n{\"body\":null}\n{\"body\":\"\\u0000\"}\n{\"body\":\"c";
        let mut rows = Vec::new();
        let mut each = |entry: Entry| {
            rows.push((entry.line, entry.row.map(|row| row.content.tags)));
            true
        };
        read(file.as_bytes(), ReadOptions::default(), &mut each).expect("a good file");
        let lines: Vec<_> = rows.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 3, 4, 5, 6]);
        assert_eq!(rows[0].1, Ok(vec!["x".to_owned()]));
        assert!(rows[1].1.as_ref().is_err_and(|error| error.starts_with("line is not a ticket:")));
        assert_eq!(rows[2].1, Err("body is empty".to_owned()));
        assert_eq!(rows[3].1, Err("body contains a NUL character".to_owned()));
        assert_eq!(rows[4].1, Err("line ends in the middle".to_owned()));
    }

    #[test]
    fn byte_order_marks_before_an_object_are_skipped() {
        let mut bodies = Vec::new();
        let file = "\u{feff}\u{feff}{\"body\":\"a\"}\n\u{feff}{\"body\":\"\u{feff}b\"}\n";
        let mut each = |entry: Entry| {
            bodies.push(entry.row.expect("good").content.body);
            true
        };
        read(file.as_bytes(), ReadOptions::default(), &mut each).expect("a good file");
        assert_eq!(bodies, ["a", "\u{feff}b"]);
    }

    #[test]
    fn a_tag_may_have_a_comma() {
        let content = row(b"{\"body\":\"b\",\"tags\":[\"Smith, John\",\"c\",\"c\"]}\n", false).expect("good").content;
        assert_eq!(content.tags, ["Smith, John", "c"]);
    }

    #[test]
    fn a_line_of_the_export_is_read() {
        let content = row(b"{\"data\":{\"id\":\"1\",\"body\":\"b\",\"kind\":\"TICKET_KIND_CHANGE\"}}\n", false);
        assert_eq!(content.expect("good").content.body, "b");
        for other in [&b"{\"data\":{\"body\":\"b\"},\"more\":1}\n"[..], b"{\"data\":\"b\"}\n"] {
            assert_eq!(row(other, false).expect_err("no body"), "body is empty");
        }
        assert_eq!(row(b"{\"body\":\"b\",\"data\":1}\n", false).expect("good").content.body, "b");
    }

    #[test]
    fn a_backslash_is_what_json_says() {
        let line = b"{\"subject\":\"C:\\\\new\\\\x\",\"body\":\"a\\nb\"}\n";
        let content = row(line, false).expect("good").content;
        assert_eq!((&*content.subject, &*content.body), ("C:\\new\\x", "a\nb"));
        assert_eq!(row(line, true).expect("good").content.subject, "C: ew\\x");
    }

    #[test]
    fn an_error_quotes_only_the_beginning_of_what_is_wrong() {
        for long in ["ä".repeat(5000), "a".repeat(5000)] {
            let error = row(format!("{{\"tags\":\"{long}\"}}\n").as_bytes(), false).expect_err("a string is no list");
            assert!(error.starts_with("line is not a ticket: invalid type: string"), "{error}");
            assert!(error.contains("… (column "), "{error}");
            assert!(error.chars().count() < 350, "{error}");
        }
        let short = row(b"{\"tags\":\"x\"}\n", false).expect_err("a string is no list");
        assert!(short.contains("string \"x\", expected a sequence (column "), "{short}");
    }
}
