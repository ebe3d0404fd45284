//! Files of tickets: how rows are found, known again, and read.

mod csv_rows;
mod row;

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

use super::{operation::Format, ticket::Content};

/// A row that is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What the ticket says.
    pub content: Content,
    /// What was answered; it becomes the first comment.
    pub answer: Option<String>,
}

/// A row of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The line it begins on, from 1.
    pub line: u64,
    /// SHA-256 of its content.
    pub hash: [u8; 32],
    /// The how-many-eth row with this content it is, from 1.
    pub occurrence: i32,
    /// The row, or what is wrong with it.
    pub row: Result<Row, String>,
}

/// The rows of a file, in order.
///
/// # Errors
/// What makes the file as a whole unusable, in words for its sender.
pub fn read(format: Format, file: &[u8]) -> Result<impl Iterator<Item = Entry> + Send + '_, String> {
    let rows: Box<dyn Iterator<Item = Found> + Send + '_> = match format {
        Format::Csv => Box::new(csv_rows::read(file)?),
        Format::Ndjson => Box::new(ndjson(file)),
    };
    let mut seen: HashMap<[u8; 32], i32> = HashMap::new();
    Ok(rows.map(move |found| {
        let occurrence = seen.entry(found.hash).or_insert(0);
        *occurrence += 1;
        Entry { line: found.line, hash: found.hash, occurrence: *occurrence, row: found.row }
    }))
}

struct Found {
    line: u64,
    hash: [u8; 32],
    row: Result<Row, String>,
}

fn ndjson(file: &[u8]) -> impl Iterator<Item = Found> + Send + '_ {
    let lines = (1..).zip(file.split(|&byte| byte == b'\n'));
    lines.filter(|(_, line)| !line.trim_ascii().is_empty()).map(|(number, line)| {
        let line = line.trim_ascii();
        Found { line: number, hash: Sha256::digest(line).into(), row: row::from_json(line) }
    })
}

#[cfg(test)]
mod tests;
