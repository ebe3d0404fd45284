//! Imports: a file is read as rows, each of which becomes a ticket or an error with its line number.
//!
//! Reading pulls one row at a time from any [`Read`](std::io::Read), so a file is never in memory as a whole unless it
//! is a single row. A cell is what stands in the file (RFC 4180, RFC 8259), normalized to NFC; unless the options say that a
//! line break is written as the two characters `\n`.

mod csv;
mod decode;
mod header;
mod lines;
mod ndjson;
pub mod options;
mod row;

use std::io::Read;

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

/// The maximum number of rows per file: the memory that distinguishes equal rows grows with them.
pub const MAX_ROWS: i64 = 1_000_000;

/// One row of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The line on which it begins, from 1.
    pub line: i64,
    /// The row, or what is wrong with it.
    pub row: Result<Row, String>,
}

/// Why a file as a whole can't be imported, as a sentence for the uploader, or why it could not be read.
#[derive(Debug)]
pub enum Fault {
    /// The file is invalid.
    File(String),
    /// It has more than [`MAX_ROWS`].
    TooManyRows,
    /// The bytes could not be read.
    Read(std::io::Error),
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
