//! Normalizes the line breaks between rows to `\n`, bounds the rows, and detects whether a file ends inside quotes, and
//! the rows whose quotes have no certain meaning.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
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

/// How the cells of a row are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub(crate) delimiter: u8,
    /// Whether spaces before a cell are no part of it.
    pub(crate) is_spaced: bool,
}

/// The rows with text behind the closing quote of a cell, by the lines on which they begin, and in their order. A reader
/// removes its rows, so that only those of one buffer are kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Misquoted(Rc<RefCell<VecDeque<u64>>>);

impl Misquoted {
    fn push(&self, line: u64) {
        let mut lines = self.0.borrow_mut();
        if lines.back() != Some(&line) {
            lines.push_back(line);
        }
    }

    /// Returns whether the row that begins on this line is one of them. The rows are asked for in their order.
    pub(crate) fn take(&self, line: u64) -> bool {
        let mut lines = self.0.borrow_mut();
        while lines.front().is_some_and(|&front| front < line) {
            lines.pop_front();
        }
        lines.front() == Some(&line)
    }
}

/// The quoting state within a field (RFC 4180).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Begin,
    Plain,
    Quoted,
    /// After a quote inside quotes: the end of the field, or half of a doubled quote.
    Closing,
    /// After the closing quote and blanks.
    Closed,
}

/// Reads a file with `\n` for every line break outside of quotes. Text inside quotes stays unchanged. A row beyond the
/// bounds is an error of the kind `InvalidData`.
pub(crate) struct Lines<R> {
    inner: R,
    /// How cells are written, which may be quoted; `None` for rows without cells.
    dialect: Option<Dialect>,
    input: Vec<u8>,
    at: usize,
    filled: usize,
    after_return: bool,
    field: Field,
    /// The line of the next byte, from 1.
    line: u64,
    row: Size,
    end: Rc<Cell<End>>,
    misquoted: Misquoted,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(inner: R, dialect: Option<Dialect>) -> Self {
        let end = Rc::new(Cell::new(End { closed: true, quoted: false }));
        let (input, field, row) = (vec![0; 64 * 1024], Field::Begin, Size { line: 1, bytes: 0, delimiters: 0 });
        let misquoted = Misquoted::default();
        Self { inner, dialect, input, at: 0, filled: 0, after_return: false, field, line: 1, row, end, misquoted }
    }

    /// Returns a handle of the rows with text behind a closing quote, which grows while the file is read.
    pub(crate) fn misquoted(&self) -> Misquoted {
        self.misquoted.clone()
    }

    /// Returns a handle of the result, which is set at the end.
    pub(crate) fn end(&self) -> Rc<Cell<End>> {
        self.end.clone()
    }

    /// Counts a byte that is passed on, and tracks the quotes.
    fn count(&mut self, byte: u8) -> io::Result<()> {
        self.field = match (self.field, byte) {
            _ if self.dialect.is_none() => Field::Begin,
            (Field::Begin | Field::Closing, b'"') => Field::Quoted,
            (Field::Quoted, b'"') => Field::Closing,
            (Field::Quoted, _) => Field::Quoted,
            (_, b'\n') => Field::Begin,
            (_, byte) if self.dialect.is_some_and(|dialect| dialect.delimiter == byte) => Field::Begin,
            (Field::Closing | Field::Closed, b' ' | b'\t') => Field::Closed,
            (Field::Closing | Field::Closed, _) => {
                self.misquoted.push(self.row.line);
                Field::Plain
            }
            _ => Field::Plain,
        };
        self.line += u64::from(byte == b'\n');
        self.row.bytes += 1;
        match self.field {
            Field::Begin if byte == b'\n' => self.row = Size { line: self.line, bytes: 0, delimiters: 0 },
            Field::Begin if self.dialect.is_some() => self.row.delimiters += 1,
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
        let is_spaced = self.field == Field::Begin && self.dialect.is_some_and(|dialect| dialect.is_spaced);
        self.after_return = is_return;
        match byte {
            _ if second_half => None,
            b' ' if is_spaced => None,
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

    const COMMAS: Dialect = Dialect { delimiter: b',', is_spaced: false };

    fn read(text: &[u8]) -> (String, End) {
        let mut lines = Lines::new(text, Some(COMMAS));
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
    fn spaces_before_a_cell_are_dropped_where_they_have_no_meaning() {
        let text = b"a, \"b, c\" ,  d e\n  \"f\", \" g\"\n";
        let mut out = String::new();
        Lines::new(&text[..], Some(Dialect { is_spaced: true, ..COMMAS })).read_to_string(&mut out).expect("a slice");
        assert_eq!(out, "a,\"b, c\" ,d e\n\"f\",\" g\"\n");
        assert_eq!(read(text).0.as_bytes(), text);
    }

    #[test]
    fn text_behind_a_closing_quote_is_noticed() {
        let text = b"\"a\"\n\"b\" c,\"d\"e\n\n\"f\nf\"\"\" ,5\" x\n\"g\nh\"i\n\"j\" \"k\"\n";
        let mut lines = Lines::new(&text[..], Some(COMMAS));
        let misquoted = lines.misquoted();
        lines.read_to_end(&mut Vec::new()).expect("a slice is read");
        let rows = [1, 2, 4, 6, 8].map(|line| misquoted.take(line));
        assert_eq!(rows, [false, true, false, true, true]);
    }

    #[test]
    fn small_reads_lose_nothing() {
        let mut lines = Lines::new(&b"a\r\n\r\nb"[..], Some(COMMAS));
        let (mut out, mut byte) = (Vec::new(), [0; 1]);
        while lines.read(&mut byte).expect("a slice is read") == 1 {
            out.push(byte[0]);
        }
        assert_eq!(out, b"a\n\nb");
    }
}
