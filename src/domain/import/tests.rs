use super::*;

const HEADER: &str = "subject,body,answer,type,queue,priority,language,tag_1,tag_2\n";

fn entries(file: &str) -> Vec<Entry> {
    read(Format::Csv, file.as_bytes()).expect("a usable file").collect()
}

#[test]
fn rows_are_read_with_quotes_and_line_breaks() {
    let file = format!("{HEADER}Hi,\"two\nlines, \"\"quoted\"\"\\nthree\",Answer,Incident,Sales,high,de,a,a\n");
    let [entry] = entries(&file).try_into().expect("one row");
    let row = entry.row.expect("a good row");
    assert_eq!(row.content.body, "two\nlines, \"quoted\"\nthree");
    assert_eq!(row.content.tags, ["a"]);
    assert_eq!((row.content.kind, row.content.priority), (Kind::Incident, Priority::High));
    assert_eq!(row.answer.as_deref(), Some("Answer"));
}

#[test]
fn an_empty_subject_takes_the_start_of_the_body() {
    let body = "word ".repeat(100);
    let [entry] = entries(&format!("{HEADER},{body},,,,,,,\n")).try_into().expect("one row");
    let subject = entry.row.expect("a good row").content.subject;
    assert!(subject.ends_with("word") && subject.chars().count() <= 200 && subject.chars().count() > 190);
}

#[test]
fn bad_rows_are_named_by_the_line_they_begin_on() {
    let file = format!("{HEADER}a,\"x\ny\",,,,,,,\nb,body,,Nonsense,,never,en,,\nc,\"cut off in the mid");
    let entries = entries(&file);
    let lines: Vec<_> = entries.iter().map(|entry| (entry.line, entry.row.is_ok())).collect();
    assert_eq!(lines, [(2, true), (4, false), (5, false)]);
    assert_eq!(entries[2].row, Err("has 2 of 9 fields; it may be cut off".to_owned()));
    assert!(entries[1].row.as_ref().is_err_and(|faults| faults.contains("`type`") && faults.contains("`priority`")));
}

#[test]
fn equal_rows_are_told_apart_by_occurrence() {
    let file = format!("{HEADER}a,b,,,,,en,,\na,b,,,,,en,,\na,c,,,,,en,,\n");
    let seen: Vec<_> = entries(&file).iter().map(|entry| entry.occurrence).collect();
    assert_eq!(seen, [1, 2, 1]);
}

#[test]
fn ndjson_takes_objects_only() {
    let file = b"{\"body\":\"b\",\"tags\":[\"x\"]}\n\n[1]\n{\"body\":1}\nnope\n";
    let rows: Vec<_> = read(Format::Ndjson, file).expect("a usable file").map(|e| (e.line, e.row.is_ok())).collect();
    assert_eq!(rows, [(1, true), (3, false), (4, false), (5, false)]);
}

#[test]
fn a_file_without_a_body_column_is_refused() {
    assert!(read(Format::Csv, b"a,b\n1,2\n").is_err());
}

use crate::domain::ticket::{Kind, Priority};
