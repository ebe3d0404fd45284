//! CSV (RFC 4180) with a header: columns are found by name, in any order; unknown ones are ignored.

use csv::{ByteRecord, ReaderBuilder};
use sha2::{Digest as _, Sha256};

use super::{Found, row};

/// Where the columns are.
struct Columns {
    names: Vec<String>,
}

pub(super) fn read(file: &[u8]) -> Result<impl Iterator<Item = Found> + Send + '_, String> {
    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(file);
    let header = reader.byte_headers().map_err(|error| format!("the header can't be read: {error}"))?;
    let names = header.iter().map(|name| String::from_utf8_lossy(name).trim().to_lowercase()).collect();
    let columns = Columns { names };
    if !columns.names.iter().any(|name| name == "body") {
        return Err("the header has no column `body`".to_owned());
    }
    Ok(reader.into_byte_records().filter_map(move |record| match record {
        Ok(record) => Some(columns.found(&record)),
        // Reading from memory, the reader fails on nothing but its own end.
        Err(_) => None,
    }))
}

impl Columns {
    fn found(&self, record: &ByteRecord) -> Found {
        let mut hash = Sha256::new();
        for field in record {
            // With its length, so that moving a comma makes another row.
            hash.update((field.len() as u64).to_be_bytes());
            hash.update(field);
        }
        let line = record.position().map_or(0, csv::Position::line);
        Found { line, hash: hash.finalize().into(), row: self.row(record) }
    }

    fn row(&self, record: &ByteRecord) -> Result<super::Row, String> {
        if record.len() != self.names.len() {
            return Err(format!("has {} of {} fields; it may be cut off", record.len(), self.names.len()));
        }
        let mut fields = row::Fields::default();
        for (name, value) in self.names.iter().zip(record) {
            let value = std::str::from_utf8(value).map_err(|_| format!("`{name}` is not UTF-8"))?;
            fields.set(name, value);
        }
        fields.check()
    }
}
