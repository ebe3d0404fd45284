//! The header of a delimited file: its delimiter, and the meaning of its columns.

use std::io::{self, BufRead};

use csv::{ByteRecord, ReaderBuilder};
use mainstay_kernel::contract::validate::check;

use crate::support::import::model::{
    Fault,
    lines::{Dialect, Lines},
    options::Delimiter,
};

/// The content of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
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

    pub(crate) fn name(self) -> &'static str {
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

    fn from_name(cell: &[u8]) -> Self {
        let name = name(cell);
        match name.as_str() {
            "kind" => Self::Kind,
            "tags" | "tag" => Self::Tag,
            _ if name.strip_prefix("tag_").is_some_and(|n| n.parse::<u8>().is_ok()) => Self::Tag,
            _ => Self::SINGLE.into_iter().find(|column| column.name() == name).unwrap_or(Self::Other),
        }
    }

    /// Returns the columns of a header.
    ///
    /// # Errors
    /// If there is no column `body`, or one occurs twice.
    pub(crate) fn of(header: &ByteRecord) -> Result<Vec<Self>, Fault> {
        let columns: Vec<_> = header.iter().map(Self::from_name).collect();
        let names = |name| columns.iter().filter(|&&column| column == name).count();
        if names(Self::Body) == 0 {
            let message = "The first row names no column `body`, by whichever delimiter (`,` `;` tab `|`) it is read.";
            return Err(Fault::File(message.to_owned()));
        }
        if let Some(column) = Self::SINGLE.into_iter().find(|&column| names(column) > 1) {
            return Err(Fault::File(format!("The first row names the column `{}` twice.", column.name())));
        }
        Ok(columns)
    }
}

/// Returns the name in a cell of the header, without the white space and the invisible characters around it, such as a
/// byte order mark that a program has copied into the file.
fn name(cell: &[u8]) -> String {
    let cell = String::from_utf8_lossy(cell);
    cell.trim_matches(|c: char| check::is_blank(c.encode_utf8(&mut [0; 4]))).to_ascii_lowercase()
}

/// Returns whether a header is that of the export, by columns that the import ignores.
pub(crate) fn is_exported(header: &ByteRecord) -> bool {
    let is_named = |wanted: &str| header.iter().any(|cell| name(cell) == wanted);
    ["id", "account_id", "create_time"].into_iter().all(is_named)
}

/// The most bytes that are searched for the delimiter.
const MAX_BYTES: usize = 64 << 10;

/// The beginning of a file.
pub(crate) struct Head {
    /// The bytes up to the end of the first row that is not empty.
    pub(crate) bytes: Vec<u8>,
    pub(crate) dialect: Dialect,
    /// Whether a row before the header names the delimiter, in the convention of spreadsheets: `sep=;`.
    pub(crate) names_delimiter: bool,
}

impl Head {
    /// Reads the first row. Without a given delimiter, it selects the one that yields the most known columns.
    ///
    /// # Errors
    /// If the file can't be read.
    pub(crate) fn read(file: &mut impl BufRead, given: Option<Delimiter>) -> io::Result<Self> {
        let mut bytes = Vec::new();
        let (mut is_quoted, mut is_empty) = (false, true);
        while bytes.len() < MAX_BYTES {
            let Some(&byte) = file.fill_buf()?.first() else { break };
            file.consume(1);
            bytes.push(byte);
            is_quoted ^= byte == b'"';
            is_empty &= matches!(byte, b'\r' | b'\n');
            if matches!(byte, b'\r' | b'\n') && !is_quoted && !is_empty {
                break;
            }
        }
        let named = named(&bytes);
        let delimiter = given.or(named).unwrap_or_else(|| find(&bytes));
        Ok(Self { dialect: dialect(&bytes, delimiter), bytes, names_delimiter: named.is_some() })
    }
}

/// Returns the delimiter that a `sep=` row names. A spreadsheet that saves such a file may quote it, and fill the row with
/// empty cells.
fn named(row: &[u8]) -> Option<Delimiter> {
    let row = row.trim_ascii_start();
    let (name, row) = row.strip_prefix(b"\"").unwrap_or(row).split_at_checked(4)?;
    let (&byte, rest) = row.split_first()?;
    let is_row = name.eq_ignore_ascii_case(b"sep=")
        && rest.iter().all(|&next| next == byte || next == b'"' || next.is_ascii_whitespace());
    Delimiter::ALL.into_iter().find(|delimiter| is_row && delimiter.byte() == byte)
}

/// Returns the dialect of a file with this first row. Where a space follows every delimiter of it, spaces before cells
/// have no meaning, and quotes may follow them: `subject, "body"`.
fn dialect(row: &[u8], delimiter: Delimiter) -> Dialect {
    let delimiter = delimiter.byte();
    let (mut is_quoted, mut delimiters, mut spaced) = (false, 0, 0);
    for (at, &byte) in row.iter().enumerate() {
        is_quoted ^= byte == b'"';
        if byte == delimiter && !is_quoted {
            delimiters += 1;
            spaced += usize::from(row.get(at + 1) == Some(&b' '));
        }
    }
    Dialect { delimiter, is_spaced: delimiters > 0 && delimiters == spaced }
}

fn find(row: &[u8]) -> Delimiter {
    let count_columns = |delimiter: &Delimiter| {
        let lines = Lines::new(row, Some(dialect(row, *delimiter)));
        let mut reader = ReaderBuilder::new().has_headers(false).delimiter(delimiter.byte()).from_reader(lines);
        let mut header = ByteRecord::new();
        let is_read = reader.read_byte_record(&mut header).unwrap_or(false);
        let columns = header.iter().filter(|name| Column::from_name(name) != Column::Other).count();
        if is_read { columns } else { 0 }
    };
    // `max_by_key` returns the last of equal elements, so that the comma comes last.
    Delimiter::ALL.into_iter().rev().max_by_key(count_columns).unwrap_or(Delimiter::Comma)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delimiter_is_the_one_by_which_most_columns_are_known() {
        for (file, delimiter) in [
            ("subject,body\nx;y,z\n", Delimiter::Comma),
            ("subject;body\r\na,b;c\r\n", Delimiter::Semicolon),
            ("\"subject\";\"body\"\n", Delimiter::Semicolon),
            ("\r\n\nSubject\tBody\rx", Delimiter::Tab),
            ("body|subject", Delimiter::Pipe),
            ("body", Delimiter::Comma),
            ("a;b;c\n", Delimiter::Comma),
            ("\"a;b\",body,\"c|d\"\n", Delimiter::Comma),
            ("\"note, in\nwords\";body;subject\n", Delimiter::Semicolon),
            ("sep=;\r\nbody;subject\r\n", Delimiter::Semicolon),
            ("sep=\t\nbody,subject\n", Delimiter::Tab),
            ("\"sep=;\"\r\nbody,subject\n", Delimiter::Semicolon),
            ("SEP=;\nbody,subject\n", Delimiter::Semicolon),
            ("sep=;;;\nbody,subject\n", Delimiter::Semicolon),
            ("sep=;x,body\n", Delimiter::Comma),
            ("\"note\"; \"body\"\n", Delimiter::Semicolon),
            ("\"a, b\"| \"body\"\n", Delimiter::Pipe),
            ("", Delimiter::Comma),
        ] {
            let head = Head::read(&mut file.as_bytes(), None).expect("a slice is read");
            assert_eq!(head.dialect.delimiter, delimiter.byte(), "{file:?}");
            let head = Head::read(&mut file.as_bytes(), Some(Delimiter::Pipe)).expect("a slice is read");
            assert_eq!(head.dialect.delimiter, b'|', "what is said counts");
        }
    }

    #[test]
    fn spaces_before_cells_have_no_meaning_where_every_delimiter_of_the_header_has_one() {
        for (header, is_spaced) in [
            ("subject, body\n", true),
            ("subject, \"body\",  tags\n", true),
            ("\"a,b\", body\n", true),
            ("subject,body\n", false),
            ("subject, body,tags\n", false),
            ("\"a, b\",body\n", false),
            ("body\n", false),
        ] {
            assert_eq!(dialect(header.as_bytes(), Delimiter::Comma).is_spaced, is_spaced, "{header}");
        }
    }

    #[test]
    fn only_the_first_row_is_read_ahead() {
        let mut file = "\nsubject;body\r\na;b\n".as_bytes();
        let head = Head::read(&mut file, None).expect("a slice is read");
        assert_eq!((&*head.bytes, file), (&b"\nsubject;body\r"[..], &b"\na;b\n"[..]));
        let quoted = format!("\"{}", "x".repeat(200_000));
        let head = Head::read(&mut quoted.as_bytes(), None).expect("a slice is read");
        assert_eq!(head.bytes.len(), MAX_BYTES);
    }
}
