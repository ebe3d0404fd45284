//! Import files: each row becomes a ticket or an error with its line number.
//!
//! The reader pulls one row at a time from any [`Read`](std::io::Read), so that memory holds one row rather than the
//! file. A row has bounds, too. A cell is taken literally (RFC 4180, RFC 8259), except for the
//! apostrophes that protect spreadsheets from formulas, and normalized to NFC. With an option, the two characters `\n`
//! stand for a line break.

mod csv;
mod decode;
mod header;
mod lines;
mod ndjson;
pub mod options;
mod row;

use std::io::{self, ErrorKind, Read};

use mainstay_kernel::numbered::numbered;

pub use options::ReadOptions;
pub use row::Row;

numbered! {
    /// The format of a file.
    Format {
        /// RFC 4180; the first row contains the column names.
        Csv = 1,
        /// One JSON object per line.
        Ndjson = 2,
    }
}

/// The most rows per file. The memory that distinguishes equal rows grows with them.
pub const MAX_ROWS: i64 = 1_000_000;

/// One row of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The line on which the row begins, from 1.
    pub line: i64,
    /// The row, or its fault.
    pub row: Result<Row, String>,
}

/// The fault of a file as a whole: a sentence for the uploader, or a read error.
#[derive(Debug)]
pub enum Fault {
    /// The file is invalid.
    File(String),
    /// The file has more than [`MAX_ROWS`].
    TooManyRows,
    /// The bytes could not be read.
    Read(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidData => Self::File(error.to_string()),
            _ => Self::Read(error),
        }
    }
}

/// Reads a file to its end, or until `each` returns `false`.
///
/// # Errors
/// If the file as a whole can't be imported.
pub fn read(
    format: Format,
    options: ReadOptions,
    file: impl Read,
    mut each: impl FnMut(Entry) -> bool,
) -> Result<(), Fault> {
    let mut rows = 0;
    let mut bounded = |entry: Entry| {
        rows += 1;
        rows <= MAX_ROWS && each(entry)
    };
    match format {
        Format::Csv => csv::read(file, options, &mut bounded)?,
        Format::Ndjson => ndjson::read(file, options, &mut bounded)?,
    }
    if rows > MAX_ROWS { Err(Fault::TooManyRows) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails once more is read than the bound of a row and the buffers.
    struct Endless {
        beginning: &'static [u8],
        piece: &'static [u8],
        read: usize,
    }

    impl Read for Endless {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            assert!(self.read < lines::MAX_ROW_BYTES + (256 << 10), "{} bytes were read", self.read);
            let piece = if self.read == 0 { self.beginning } else { self.piece };
            let count = piece.len().min(out.len());
            out[..count].copy_from_slice(&piece[..count]);
            self.read += count;
            Ok(count)
        }
    }

    /// A few megabytes of a file would take several hundred as cells of one row.
    #[test]
    fn a_row_without_an_end_is_not_kept() {
        for (format, beginning, piece, line) in [
            (Format::Csv, &b"body\n"[..], &b",,,,,,,,"[..], 2),
            (Format::Csv, b"body\n\nx\n\"", b"a,\n", 4),
            (Format::Csv, b"body,", b"tags,", 1),
            (Format::Csv, b"\"", b"tags\n", 1),
            (Format::Ndjson, b"{\"body\":\"x\"}\n{\"tags\":[\"\"", b",\"\"", 2),
        ] {
            let read = read(format, ReadOptions::default(), Endless { beginning, piece, read: 0 }, |_| true);
            let message = format!("The row in line {line} is longer than 4 MiB, or has more than 1000 cells.");
            assert!(matches!(&read, Err(Fault::File(fault)) if *fault == message), "{read:?}");
        }
    }
}
