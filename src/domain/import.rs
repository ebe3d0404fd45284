//! Imports: a file becomes rows, each a ticket to be or an error with its line.
//!
//! Reading is a pull from any [`Read`](std::io::Read), one row at a time, so a file is never in memory as a whole
//! unless it is a single row. Line breaks of every kind are read as `\n`, and so is a `\n` written as two characters.

mod csv;
mod lines;
mod ndjson;
mod row;

use std::io::Read;

use super::numbered;

pub use row::Row;

numbered! {
    /// The format of a file.
    Format {
        /// RFC 4180, the first row names the columns.
        Csv = 1,
        /// One JSON object a line.
        Ndjson = 2,
    }
}

/// At most so many rows a file: what is kept to tell equal rows apart grows with them.
pub const MAX_ROWS: i64 = 1_000_000;

/// One row of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The line it begins on, from 1.
    pub line: i64,
    /// The row, or what is wrong with it.
    pub row: Result<Row, String>,
}

/// Why a file as a whole can't be imported, in a sentence for whoever sent it, or why it could not be read.
#[derive(Debug)]
pub enum Fault {
    /// The file is no good.
    File(String),
    /// It has more than [`MAX_ROWS`].
    TooManyRows,
    /// Its bytes could not be had.
    Read(std::io::Error),
}

/// Reads a file to its end, or until `each` returns `false`.
///
/// # Errors
/// When the file as a whole can't be imported.
pub fn read(format: Format, file: impl Read, mut each: impl FnMut(Entry) -> bool) -> Result<(), Fault> {
    let mut rows = 0;
    let mut bounded = |entry: Entry| {
        rows += 1;
        rows <= MAX_ROWS && each(entry)
    };
    match format {
        Format::Csv => csv::read(file, &mut bounded)?,
        Format::Ndjson => ndjson::read(file, &mut bounded)?,
    }
    if rows > MAX_ROWS { Err(Fault::TooManyRows) } else { Ok(()) }
}
