//! Delimited files: comma-separated values (RFC 4180), or those of another delimiter.

use std::{
    borrow::Cow,
    io::{BufReader, Read},
};

use csv::{ByteRecord, ErrorKind, ReaderBuilder};

use crate::support::{
    formula,
    import::model::{
        Entry, Fault, Row,
        decode::Utf8,
        header::{self, Column, Head},
        lines::{End, Lines},
        options::{Charset, ReadOptions},
        row::Raw,
    },
};

/// The fault of a row whose quotes have no certain meaning. Readers differ: some join both texts, others keep the quotes.
const MISQUOTED: &str = "a cell has text behind its closing quote; write quotes in a quoted cell twice";

pub(crate) fn read(file: impl Read, options: ReadOptions, each: &mut impl FnMut(Entry) -> bool) -> Result<(), Fault> {
    let mut file = Utf8::new(file, options.charset);
    let charset = file.charset()?;
    let mut file = BufReader::new(file);
    let head = Head::read(&mut file, options.delimiter)?;
    let delimiter = head.dialect.delimiter;
    let lines = Lines::new(head.bytes.as_slice().chain(file), Some(head.dialect));
    let (end, misquoted) = (lines.end(), lines.misquoted());
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(lines);
    let mut record = ByteRecord::new();
    for _ in 0..=usize::from(head.names_delimiter) {
        if !reader.read_byte_record(&mut record).map_err(fault)? {
            return Err(Fault::File("The file has no rows.".to_owned()));
        }
    }
    let table = Table {
        columns: Column::of(&record)?,
        is_exported: header::is_exported(&record),
        charset,
        unescapes: options.unescapes_newlines,
    };
    // The end is known only after the last row, so that each row is held back until the next one is read.
    let mut next_line = next(&mut reader, &mut record)?;
    while let Some(line) = next_line {
        let current = std::mem::take(&mut record);
        next_line = next(&mut reader, &mut record)?;
        let last = next_line.is_none().then(|| end.get());
        // The line is counted back from the end of the row, because preceding blank lines are not part of it.
        let breaks = current.as_slice().iter().filter(|&&byte| byte == b'\n').count();
        let has_line_break = last.is_none_or(|end| end.closed && !end.quoted);
        let line = line - i64::try_from(breaks).unwrap_or(0) - i64::from(has_line_break);
        // Spreadsheets write rows of nothing but delimiters.
        let is_blank = current.iter().all(is_blank) && last.is_none_or(|end| !end.quoted);
        let row = match misquoted.take(u64::try_from(line).unwrap_or_default()) {
            true => Err(MISQUOTED.to_owned()),
            false => table.row(&current, last),
        };
        if !is_blank && !each(Entry { line, row }) {
            return Ok(());
        }
    }
    Ok(())
}

/// Reads the next row, and returns the line of the reader after it.
fn next<R: Read>(reader: &mut csv::Reader<R>, record: &mut ByteRecord) -> Result<Option<i64>, Fault> {
    if !reader.read_byte_record(record).map_err(fault)? {
        return Ok(None);
    }
    Ok(Some(i64::try_from(reader.position().line()).unwrap_or(i64::MAX)))
}

fn fault(error: csv::Error) -> Fault {
    let text = error.to_string();
    match error.into_kind() {
        ErrorKind::Io(error) => error.into(),
        _ => Fault::File(format!("The file can't be read: {text}.")),
    }
}

fn is_blank(cell: &[u8]) -> bool {
    cell.trim_ascii().is_empty()
}

/// Splits a cell of tags at its commas. Where a tag has a comma or a quote, the cell is a record of CSV itself:
/// `"Smith, John",c`.
fn tags(cell: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let (mut begins, mut has_quotes, mut is_open) = (true, false, false);
    let tags = cell.split(move |letter| {
        has_quotes = if begins { letter == '"' } else { has_quotes };
        is_open ^= has_quotes && letter == '"';
        begins = letter == ',' && !is_open;
        begins
    });
    tags.map(|tag| match tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')) {
        Some(tag) => Cow::Owned(tag.replace("\"\"", "\"")),
        None => Cow::Borrowed(tag),
    })
}

/// The interpretation of a row's cells.
struct Table {
    columns: Vec<Column>,
    is_exported: bool,
    charset: Charset,
    unescapes: bool,
}

impl Table {
    fn row(&self, record: &ByteRecord, last: Option<End>) -> Result<Row, String> {
        let (actual, expected) = (record.len(), self.columns.len());
        // Spreadsheets leave out empty cells at the end of a row, or write more of them.
        let has_body = self.columns[..actual.min(expected)].contains(&Column::Body);
        let is_truncated = last.is_some_and(|end| end.quoted || (!end.closed && !has_body));
        if is_truncated {
            return Err(format!("row ends in the middle: {actual} of {expected} fields"));
        }
        if !has_body || !record.iter().skip(expected).all(is_blank) {
            return Err(format!("row has {actual} of {expected} fields"));
        }
        let mut raw = Raw::default();
        for (column, bytes) in self.columns.iter().zip(record) {
            if *column == Column::Other {
                continue;
            }
            let text = std::str::from_utf8(bytes).map_err(|_| {
                let charset = self.charset.encoding().name();
                format!("{} is not {charset}; name the charset of the file by `charset`", column.name())
            })?;
            let text = formula::unescape(text, self.is_exported);
            let field = match column {
                Column::Subject => &mut raw.subject,
                Column::Body => &mut raw.body,
                Column::Answer => &mut raw.answer,
                Column::Kind => &mut raw.kind,
                Column::Queue => &mut raw.queue,
                Column::Priority => &mut raw.priority,
                Column::Language => &mut raw.language,
                Column::Tag | Column::Other => {
                    tags(&text).for_each(|tag| raw.push_tag(&tag));
                    continue;
                }
            };
            *field = text.into_owned();
        }
        raw.row(self.unescapes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type ParsedRow = (i64, Result<(String, String), String>);

    fn rows(file: &str) -> Vec<ParsedRow> {
        rows_by(file.as_bytes(), ReadOptions::default())
    }

    fn rows_by(file: &[u8], options: ReadOptions) -> Vec<ParsedRow> {
        let mut rows = Vec::new();
        let mut each = |entry: Entry| {
            rows.push((entry.line, entry.row.map(|row| (row.content.subject, row.content.body))));
            true
        };
        read(file, options, &mut each).expect("a good file");
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
    fn an_apostrophe_inside_a_cell_is_removed_from_exported_files_only() {
        let cells = "'=1,\"echo ';'+a\n'- item\"\n";
        let unchanged = [good(2, "=1", "echo ';'+a\n'- item")];
        assert_eq!(rows(&format!("subject,body\n{cells}")), unchanged);
        assert_eq!(rows(&format!("id,create_time,subject,body\n1,2,{cells}")), unchanged);
        let exported = format!("\u{feff}ID,account_id, Create_Time,subject,body\n1,2,3,{cells}");
        assert_eq!(rows(&exported), [good(2, "=1", "echo ';+a\n- item")]);
    }

    #[test]
    fn columns_are_found_by_name() {
        assert_eq!(rows("extra,Body ,subject\n1,text,title\n"), [good(2, "title", "text")]);
    }

    #[test]
    fn rows_report_the_line_they_begin_on() {
        let file = "subject,body\r\na,\"1\r\n2\"\r\n\r\n\r\nb,3\r\nc\r\nd,\"4 \"\"x\"\"\"";
        let expected =
            [good(2, "a", "1\r\n2"), good(6, "b", "3"), bad(7, "row has 1 of 2 fields"), good(8, "d", "4 \"x\"")];
        assert_eq!(rows(file), expected);
        assert_eq!(rows("subject,body\ra,1\rb,2\r"), [good(2, "a", "1"), good(3, "b", "2")]);
    }

    /// Rows as spreadsheets write them.
    #[test]
    fn a_row_may_lack_empty_cells_or_have_more_of_them() {
        let file = "subject,body,priority,tags\na,b\nc,d,low\ne,f,,,, ,\n,,,\n\n , \ng,h,low,x,y\nc\ni,j,,\n,,,";
        let short = [bad(8, "row has 5 of 4 fields"), bad(9, "row has 1 of 4 fields"), good(10, "i", "j")];
        let expected = [&[good(2, "a", "b"), good(3, "c", "d"), good(4, "e", "f")][..], &short].concat();
        assert_eq!(rows(file), expected);
        assert_eq!(rows("subject,body\na,b,"), [good(2, "a", "b")]);
        assert_eq!(rows("subject,body,tags\na,b"), [good(2, "a", "b")]);
        assert_eq!(rows("subject,body\n,,\n,\""), [bad(3, "row ends in the middle: 2 of 2 fields")]);
        assert!(rows("subject,body\n,,\n\n").is_empty());
    }

    #[test]
    fn a_cell_of_tags_is_a_record() {
        let read = |cell: &str| tags(cell).map(Cow::into_owned).collect::<Vec<_>>();
        assert_eq!(read("a, b,,c"), ["a", " b", "", "c"]);
        assert_eq!(read("\"Smith, John\",c"), ["Smith, John", "c"]);
        assert_eq!(read("a,\"b \"\"c\"\", d\",\"\"\"\""), ["a", "b \"c\", d", "\""]);
        assert_eq!(read("5\" disk, 3\" disk"), ["5\" disk", " 3\" disk"]);
        assert_eq!(read("\"open, end"), ["\"open, end"]);
        let mut read_tags = Vec::new();
        let file = "body,tag,tag_1\nb,\"\"\"Smith, John\"\",c\",\"c,d\"\n";
        let mut each = |entry: Entry| {
            read_tags = entry.row.expect("good").content.tags;
            true
        };
        super::read(file.as_bytes(), ReadOptions::default(), &mut each).expect("a good file");
        assert_eq!(read_tags, ["Smith, John", "c", "d"]);
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
    fn text_behind_a_closing_quote_is_an_error_and_changes_nothing() {
        let file =
            "subject\tbody\n\"Quick\" fix\tb\nc\t5\" disk\n\n\"d \"\"x\"\"\"\t\"e\"\n\"5 apples\tf\ng\t\"h\" i\nj\tk\n";
        let expected = [
            bad(2, MISQUOTED),
            good(3, "c", "5\" disk"),
            good(5, "d \"x\"", "e"),
            // The quote opens a cell, which ends in the next line.
            bad(6, MISQUOTED),
            good(8, "j", "k"),
        ];
        assert_eq!(rows(file), expected);
        assert_eq!(rows("subject,body\na,\"b\" c"), [bad(2, MISQUOTED)]);
    }

    #[test]
    fn spaces_may_follow_the_delimiters() {
        let expected = [good(2, "a", "b, c"), good(3, "d", "e \"f\"")];
        assert_eq!(rows("subject, \"body\"\na, \"b, c\"\nd, e \"f\"\n"), expected);
        assert_eq!(rows("\"subject\"; \"body\"\r\n\"a\" ; \"b, c\"\r\nd;  e \"f\"\r\n"), expected);
        // Elsewhere, they belong to the cell (RFC 4180), whose quotes are characters.
        assert_eq!(rows("subject,body\na, \"b\"\n"), [good(2, "a", " \"b\"")]);
    }

    #[test]
    fn invisible_characters_are_no_part_of_a_name() {
        for header in ["\u{feff}\u{feff}subject,body", "\u{200b}Subject,\"\u{a0}body\u{a0}\"", "subject,\u{feff}body"] {
            assert_eq!(rows(&format!("{header}\na,b\n")), [good(2, "a", "b")], "{header:?}");
        }
        let exported = "\u{feff}\u{feff}id,account_id,create_time,subject,body\n1,2,3,a;'=x,b\n";
        assert_eq!(rows(exported), [good(2, "a;=x", "b")]);
    }

    #[test]
    fn a_file_without_a_body_column_is_invalid() {
        for file in ["", "subject\na\n", "body,body\n1,2\n"] {
            assert!(
                matches!(read(file.as_bytes(), ReadOptions::default(), &mut |_| true), Err(Fault::File(_))),
                "{file}"
            );
        }
    }

    #[test]
    fn invalid_utf8_is_reported() {
        let mut rows = Vec::new();
        let file = b"body,priority\n\xff,low\nfine,low\n";
        read(&file[..], ReadOptions::default(), &mut |entry| {
            rows.push((entry.line, entry.row.err()));
            true
        })
        .expect("a good file");
        assert_eq!(
            rows,
            [(2, Some("body is not UTF-8; name the charset of the file by `charset`".to_owned())), (3, None)]
        );
    }

    #[test]
    fn a_cell_is_what_stands_in_the_file() {
        let file = "subject,body\nC:\\new\\notes,\\\\server\\new\n\" a  b \",\"  1\n 2 \"\n";
        let expected = [good(2, "C:\\new\\notes", "\\\\server\\new"), good(3, "a  b", "  1\n 2 ")];
        assert_eq!(rows(file), expected);
        let options = ReadOptions { unescapes_newlines: true, ..ReadOptions::default() };
        assert_eq!(rows_by(b"body,subject\n\"a\\nb\\r\\nc\r\nd\",s\n", options), [good(2, "s", "a\nb\nc\nd")]);
    }

    #[test]
    fn a_file_of_another_delimiter_or_charset_is_read() {
        let expected = [good(2, "Grüße, alle", "1;2"), good(3, "b", "Ende")];
        let file = "subject;body\r\nGrüße, alle;\"1;2\"\r\nb;Ende\r\n";
        let utf_16: Vec<u8> = format!("\u{feff}{file}").encode_utf16().flat_map(u16::to_le_bytes).collect();
        // These letters have the same code points in both.
        let windows: Vec<_> = file.chars().map(|letter| u8::try_from(u32::from(letter)).expect("Latin 1")).collect();
        let windows_1252 = ReadOptions { charset: Charset::from_label("windows-1252"), ..ReadOptions::default() };
        assert_eq!(rows(file), expected);
        assert_eq!(rows_by(&utf_16, ReadOptions::default()), expected);
        assert_eq!(rows_by(&windows, windows_1252), expected);
        assert_eq!(rows("sep=|\nsubject|body\na|b,c\n"), [good(3, "a", "b,c")]);
        assert_eq!(rows("\u{feff}subject\tbody\r\na\tb\r\n"), [good(2, "a", "b")]);
    }

    #[test]
    fn bytes_that_are_no_text_in_the_charset_are_reported() {
        let file: Vec<u8> =
            "\u{feff}subject,body\na,".encode_utf16().chain([0xd800, 10]).flat_map(u16::to_le_bytes).collect();
        assert_eq!(
            rows_by(&file, ReadOptions::default()),
            [bad(2, "body is not UTF-16LE; name the charset of the file by `charset`")]
        );
    }
}
