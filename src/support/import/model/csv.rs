//! Files of comma-separated values.

use std::io::Read;

use csv::{ByteRecord, ErrorKind, ReaderBuilder};

use crate::support::{
    formula,
    import::model::{
        Entry, Fault, Row,
        lines::{End, Lines},
        row::Raw,
    },
};

/// The content of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Subject,
    Body,
    Answer,
    Kind,
    Queue,
    Priority,
    Language,
    Tag,
    Other,
}

impl Column {
    /// The columns that may occur only once.
    const SINGLE: [Self; 7] =
        [Self::Subject, Self::Body, Self::Answer, Self::Kind, Self::Queue, Self::Priority, Self::Language];

    fn name(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Body => "body",
            Self::Answer => "answer",
            Self::Kind => "type",
            Self::Queue => "queue",
            Self::Priority => "priority",
            Self::Language => "language",
            Self::Tag => "tag",
            Self::Other => "",
        }
    }

    fn from_name(name: &[u8]) -> Self {
        let name = String::from_utf8_lossy(name).trim().to_ascii_lowercase();
        match name.as_str() {
            "subject" => Self::Subject,
            "body" => Self::Body,
            "answer" => Self::Answer,
            "type" | "kind" => Self::Kind,
            "queue" => Self::Queue,
            "priority" => Self::Priority,
            "language" => Self::Language,
            "tags" => Self::Tag,
            _ if name.strip_prefix("tag_").is_some_and(|n| n.parse::<u8>().is_ok()) => Self::Tag,
            _ => Self::Other,
        }
    }
}

pub(crate) fn read(file: impl Read, each: &mut impl FnMut(Entry) -> bool) -> Result<(), Fault> {
    let lines = Lines::new(file);
    let end = lines.end();
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(lines);
    let mut record = ByteRecord::new();
    if !reader.read_byte_record(&mut record).map_err(fault)? {
        return Err(Fault::File("The file has no rows.".to_owned()));
    }
    let columns: Vec<_> = record.iter().map(Column::from_name).collect();
    let names = |name| columns.iter().filter(|&&column| column == name).count();
    if names(Column::Body) == 0 {
        return Err(Fault::File("The first row names no column `body`.".to_owned()));
    }
    if let Some(column) = Column::SINGLE.into_iter().find(|&column| names(column) > 1) {
        return Err(Fault::File(format!("The first row names the column `{}` twice.", column.name())));
    }
    // The end is known only after the last row was read, so each row is held back until the next one is read.
    let mut next_line = next(&mut reader, &mut record)?;
    while let Some(line) = next_line {
        let current = std::mem::take(&mut record);
        next_line = next(&mut reader, &mut record)?;
        let last = next_line.is_none().then(|| end.get());
        // The line is counted back from the end of the row, because blank lines before it are not part of it.
        let breaks = current.as_slice().iter().filter(|&&byte| byte == b'\n').count();
        let has_line_break = last.is_none_or(|end| end.closed && !end.quoted);
        let line = line - i64::try_from(breaks).unwrap_or(0) - i64::from(has_line_break);
        if !each(Entry { line, row: row(&columns, &current, last) }) {
            return Ok(());
        }
    }
    Ok(())
}

/// Reads the next row and returns the line on which the reader is after it.
fn next<R: Read>(reader: &mut csv::Reader<R>, record: &mut ByteRecord) -> Result<Option<i64>, Fault> {
    if !reader.read_byte_record(record).map_err(fault)? {
        return Ok(None);
    }
    Ok(Some(i64::try_from(reader.position().line()).unwrap_or(i64::MAX)))
}

fn fault(error: csv::Error) -> Fault {
    let text = error.to_string();
    match error.into_kind() {
        ErrorKind::Io(error) => Fault::Read(error),
        _ => Fault::File(format!("The file can't be read: {text}.")),
    }
}

fn row(columns: &[Column], record: &ByteRecord, last: Option<End>) -> Result<Row, String> {
    let (actual, expected) = (record.len(), columns.len());
    let is_truncated = last.is_some_and(|end| end.quoted || (!end.closed && actual < expected));
    if is_truncated {
        return Err(format!("row ends in the middle: {actual} of {expected} fields"));
    }
    if actual != expected {
        return Err(format!("row has {actual} of {expected} fields"));
    }
    let mut raw = Raw::default();
    for (column, bytes) in columns.iter().zip(record) {
        if *column == Column::Other {
            continue;
        }
        let text = std::str::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", column.name()))?;
        let text = formula::unescape(text);
        let field = match column {
            Column::Subject => &mut raw.subject,
            Column::Body => &mut raw.body,
            Column::Answer => &mut raw.answer,
            Column::Kind => &mut raw.kind,
            Column::Queue => &mut raw.queue,
            Column::Priority => &mut raw.priority,
            Column::Language => &mut raw.language,
            Column::Tag | Column::Other => {
                raw.tags.push(text.to_owned());
                continue;
            }
        };
        text.clone_into(field);
    }
    raw.row()
}

#[cfg(test)]
mod tests {
    use super::*;

    type ParsedRow = (i64, Result<(String, String), String>);

    fn rows(file: &str) -> Vec<ParsedRow> {
        let mut rows = Vec::new();
        let mut each = |entry: Entry| {
            rows.push((entry.line, entry.row.map(|row| (row.content.subject, row.content.body))));
            true
        };
        read(file.as_bytes(), &mut each).expect("a good file");
        rows
    }

    fn good(line: i64, subject: &str, body: &str) -> ParsedRow {
        (line, Ok((subject.to_owned(), body.to_owned())))
    }

    fn bad(line: i64, message: &str) -> ParsedRow {
        (line, Err(message.to_owned()))
    }

    #[test]
    fn the_apostrophe_before_a_formula_is_removed() {
        let file = "subject,body\n'=1+1,'-\n''=1,'quoted'\n";
        assert_eq!(rows(file), [good(2, "=1+1", "-"), good(3, "'=1", "'quoted'")]);
    }

    #[test]
    fn columns_are_found_by_name() {
        assert_eq!(rows("extra,Body ,subject\n1,text,title\n"), [good(2, "title", "text")]);
    }

    #[test]
    fn rows_report_the_line_they_begin_on() {
        let file = "subject,body\r\na,\"1\r\n2\"\r\n\r\n\r\nb,3\r\nc\r\nd,\"4 \"\"x\"\"\"";
        let expected =
            [good(2, "a", "1\n2"), good(6, "b", "3"), bad(7, "row has 1 of 2 fields"), good(8, "d", "4 \"x\"")];
        assert_eq!(rows(file), expected);
        assert_eq!(rows("subject,body\ra,1\rb,2\r"), [good(2, "a", "1"), good(3, "b", "2")]);
    }

    #[test]
    fn a_truncated_file_is_reported() {
        for (end, has) in [("b", 1), ("b,\"text\n", 2), ("b,\"te", 2), ("\"b", 1)] {
            let file = format!("subject,body,answer\na,1,2\n{end}");
            let message = format!("row ends in the middle: {has} of 3 fields");
            assert_eq!(rows(&file), [good(2, "a", "1"), bad(3, &message)], "{end}");
        }
        assert_eq!(rows("subject,body\na,\"te"), [bad(2, "row ends in the middle: 2 of 2 fields")]);
    }

    #[test]
    fn a_file_without_a_body_column_is_invalid() {
        for file in ["", "subject\na\n", "body,body\n1,2\n"] {
            assert!(matches!(read(file.as_bytes(), &mut |_| true), Err(Fault::File(_))), "{file}");
        }
    }

    #[test]
    fn invalid_utf8_is_reported() {
        let mut rows = Vec::new();
        let file = b"body,priority\n\xff,low\nfine,low\n";
        read(&file[..], &mut |entry| {
            rows.push((entry.line, entry.row.err()));
            true
        })
        .expect("a good file");
        assert_eq!(rows, [(2, Some("body is not UTF-8".to_owned())), (3, None)]);
    }
}
