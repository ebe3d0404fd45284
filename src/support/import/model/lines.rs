//! Normalizes the line breaks between rows to `\n`, bounds the rows, and detects whether a file ends inside quotes.

use std::{
    cell::Cell,
    io::{self, Read},
    rc::Rc,
};

/// The most bytes of a row. A reader keeps a whole row in memory, and several times as much for its cells.
pub(crate) const MAX_ROW_BYTES: usize = 4 << 20;
/// The most cells of a row.
const MAX_CELLS: usize = 1000;

/// The size of a row so far.
#[derive(Debug, Clone, Copy)]
struct Size {
    /// The line on which the row begins, from 1.
    line: u64,
    bytes: usize,
    delimiters: usize,
}

/// The state at the end of a file.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct End {
    /// Whether it ends with a line break, or is empty.
    pub(crate) closed: bool,
    /// Whether it ends inside quotes.
    pub(crate) quoted: bool,
}

/// The quoting state within a field (RFC 4180).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Begin,
    Plain,
    Quoted,
    /// After a quote inside quotes: the end of the field, or half of a doubled quote.
    Closing,
}

/// Reads a file with `\n` for every line break outside of quotes. Text inside quotes stays unchanged. A row beyond the
/// bounds is an error of the kind `InvalidData`.
pub(crate) struct Lines<R> {
    inner: R,
    /// The delimiter of cells, which may be quoted; `None` for rows without cells.
    delimiter: Option<u8>,
    input: Vec<u8>,
    at: usize,
    filled: usize,
    after_return: bool,
    field: Field,
    /// The line of the next byte, from 1.
    line: u64,
    row: Size,
    end: Rc<Cell<End>>,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(inner: R, delimiter: Option<u8>) -> Self {
        let end = Rc::new(Cell::new(End { closed: true, quoted: false }));
        let (input, field, row) = (vec![0; 64 * 1024], Field::Begin, Size { line: 1, bytes: 0, delimiters: 0 });
        Self { inner, delimiter, input, at: 0, filled: 0, after_return: false, field, line: 1, row, end }
    }

    /// Returns a handle of the result, which is set at the end.
    pub(crate) fn end(&self) -> Rc<Cell<End>> {
        self.end.clone()
    }

    /// Counts a byte that is passed on, and tracks the quotes.
    fn count(&mut self, byte: u8) -> io::Result<()> {
        self.field = match (self.field, byte) {
            _ if self.delimiter.is_none() => Field::Begin,
            (Field::Begin | Field::Closing, b'"') => Field::Quoted,
            (Field::Quoted, b'"') => Field::Closing,
            (Field::Quoted, _) => Field::Quoted,
            (_, b'\n') => Field::Begin,
            (_, byte) if Some(byte) == self.delimiter => Field::Begin,
            _ => Field::Plain,
        };
        self.line += u64::from(byte == b'\n');
        self.row.bytes += 1;
        match self.field {
            Field::Begin if byte == b'\n' => self.row = Size { line: self.line, bytes: 0, delimiters: 0 },
            Field::Begin if self.delimiter.is_some() => self.row.delimiters += 1,
            _ => {}
        }
        if self.row.bytes > MAX_ROW_BYTES || self.row.delimiters >= MAX_CELLS {
            let line = self.row.line;
            let message = format!("The row in line {line} is longer than 4 MiB, or has more than {MAX_CELLS} cells.");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(())
    }

    /// Returns the byte to pass on, if any.
    fn normalize(&mut self, byte: u8) -> Option<u8> {
        let second_half = byte == b'\n' && self.after_return;
        let is_return = byte == b'\r' && self.field != Field::Quoted;
        self.after_return = is_return;
        match byte {
            _ if second_half => None,
            _ if is_return => Some(b'\n'),
            other => Some(other),
        }
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut count = 0;
        while count == 0 && !out.is_empty() {
            if self.at == self.filled {
                (self.at, self.filled) = (0, self.inner.read(&mut self.input)?);
                if self.filled == 0 {
                    return Ok(0);
                }
            }
            while count < out.len() && self.at < self.filled {
                let byte = self.input[self.at];
                self.at += 1;
                if let Some(byte) = self.normalize(byte) {
                    self.count(byte)?;
                    out[count] = byte;
                    count += 1;
                }
            }
        }
        if count > 0 {
            self.end.set(End { closed: out[count - 1] == b'\n', quoted: self.field == Field::Quoted });
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> (String, End) {
        let mut lines = Lines::new(text, Some(b','));
        let (mut out, end) = (String::new(), lines.end());
        lines.read_to_string(&mut out).expect("a slice is read");
        (out, end.get())
    }

    #[test]
    fn every_line_break_becomes_a_newline() {
        assert_eq!(read(b"a\r\nb\rc\nd\r\r\n").0, "a\nb\nc\nd\n\n");
    }

    #[test]
    fn a_line_break_between_quotes_is_part_of_a_cell() {
        assert_eq!(read(b"a,\"b\r\nc\rd\"\r\ne").0, "a,\"b\r\nc\rd\"\ne");
        assert_eq!(read(b"\"a \"\"b\"\"\r\n\",c\r\n").0, "\"a \"\"b\"\"\r\n\",c\n");
        let mut lines = Lines::new(&b"{\"a\": 1, \"b\r\n"[..], None);
        let mut out = String::new();
        lines.read_to_string(&mut out).expect("a slice is read");
        assert_eq!(out, "{\"a\": 1, \"b\n");
    }

    #[test]
    fn an_end_inside_quotes_is_detected() {
        assert!(read(b"a,\"b \"\" c").1.quoted);
        assert!(!read(b"a,\"b \"\" c\"").1.quoted);
        assert!(!read(b"a,5\" disk").1.quoted);
        assert!(read(b"a,b\n").1.closed);
        assert!(!read(b"a,b").1.closed);
    }

    #[test]
    fn small_reads_lose_nothing() {
        let mut lines = Lines::new(&b"a\r\n\r\nb"[..], Some(b','));
        let (mut out, mut byte) = (Vec::new(), [0; 1]);
        while lines.read(&mut byte).expect("a slice is read") == 1 {
            out.push(byte[0]);
        }
        assert_eq!(out, b"a\n\nb");
    }
}
