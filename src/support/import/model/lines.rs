//! Normalizes line breaks to `\n`, removes a byte order mark, and detects whether a file ends inside quotes.

use std::{
    cell::Cell,
    io::{self, Read},
    rc::Rc,
};

/// What is known about a file once it has been read to its end.
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

/// Reads a file with `\n` for every line break.
pub(crate) struct Lines<R> {
    inner: R,
    input: Vec<u8>,
    at: usize,
    filled: usize,
    after_return: bool,
    field: Field,
    has_started: bool,
    end: Rc<Cell<End>>,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(inner: R) -> Self {
        let end = Rc::new(Cell::new(End { closed: true, quoted: false }));
        let (input, field) = (vec![0; 64 * 1024], Field::Begin);
        Self { inner, input, at: 0, filled: 0, after_return: false, field, has_started: false, end }
    }

    /// Returns the cell that holds the result at the end.
    pub(crate) fn end(&self) -> Rc<Cell<End>> {
        self.end.clone()
    }

    fn fill(&mut self) -> io::Result<()> {
        self.at = 0;
        self.filled = self.inner.read(&mut self.input)?;
        if !self.has_started {
            // A byte order mark may arrive in pieces.
            while (1..3).contains(&self.filled) {
                match self.inner.read(&mut self.input[self.filled..])? {
                    0 => break,
                    more => self.filled += more,
                }
            }
            self.has_started = true;
            if self.input[..self.filled].starts_with(b"\xef\xbb\xbf") {
                self.at = 3;
                if self.at == self.filled {
                    return self.fill();
                }
            }
        }
        Ok(())
    }

    fn quote(&mut self, byte: u8) {
        self.field = match (self.field, byte) {
            (Field::Begin | Field::Closing, b'"') => Field::Quoted,
            (Field::Quoted, b'"') => Field::Closing,
            (Field::Quoted, _) => Field::Quoted,
            (_, b',' | b'\n') => Field::Begin,
            _ => Field::Plain,
        };
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut count = 0;
        while count == 0 && !out.is_empty() {
            if self.at == self.filled {
                self.fill()?;
                if self.filled == 0 {
                    return Ok(0);
                }
            }
            while count < out.len() && self.at < self.filled {
                let byte = self.input[self.at];
                self.at += 1;
                let second_half = byte == b'\n' && self.after_return;
                self.after_return = byte == b'\r';
                if second_half {
                    continue;
                }
                let byte = if byte == b'\r' { b'\n' } else { byte };
                self.quote(byte);
                out[count] = byte;
                count += 1;
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
        let mut lines = Lines::new(text);
        let (mut out, end) = (String::new(), lines.end());
        lines.read_to_string(&mut out).expect("a slice is read");
        (out, end.get())
    }

    #[test]
    fn every_line_break_becomes_a_newline() {
        assert_eq!(read(b"\xef\xbb\xbfa\r\nb\rc\nd\r\r\n").0, "a\nb\nc\nd\n\n");
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
        let mut lines = Lines::new(&b"a\r\n\r\nb"[..]);
        let (mut out, mut byte) = (Vec::new(), [0; 1]);
        while lines.read(&mut byte).expect("a slice is read") == 1 {
            out.push(byte[0]);
        }
        assert_eq!(out, b"a\n\nb");
    }
}
