//! Splits a body into JSON documents as it arrives: the elements of an array, or the lines of NDJSON.
//!
//! The splitter only finds the boundaries of the documents; the reader validates their JSON.

use bytes::{Buf as _, Bytes, BytesMut};

use crate::dialect::Failure;

/// The body that has not been split yet, and the state of the scan.
#[derive(Debug)]
pub(crate) struct Splitter {
    buffer: BytesMut,
    /// The number of scanned bytes of the document at the front of the buffer.
    at: usize,
    depth: u32,
    in_string: bool,
    escaped: bool,
    position: Position,
    max_bytes: usize,
}

const MARK: &[u8] = "\u{feff}".as_bytes();

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// A byte order mark may follow, then the `[` (RFC 8259, section 8.1).
    Mark,
    /// The `[` must follow.
    Start,
    Documents,
    FirstElement,
    NextElement,
    /// A `,` or the `]` must follow.
    AfterElement,
    End,
}

impl Splitter {
    /// Creates a splitter. `is_ndjson` means the media type is NDJSON, so a `[` starts a document like any other.
    pub(crate) fn new(is_ndjson: bool, max_bytes: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            at: 0,
            depth: 0,
            in_string: false,
            escaped: false,
            position: if is_ndjson { Position::Documents } else { Position::Mark },
            max_bytes,
        }
    }

    pub(crate) fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// Returns the next whole document. `has_ended` means that no more bytes will be pushed.
    ///
    /// # Errors
    /// An error if a document exceeds the limit, or if the brackets and commas around documents are wrong.
    pub(crate) fn next(&mut self, has_ended: bool) -> Result<Option<Bytes>, Failure> {
        if self.at == 0 && !self.skip_separators()? {
            return if has_ended { self.finish() } else { Ok(None) };
        }
        while let Some(&byte) = self.buffer.get(self.at) {
            if self.depth == 0 && !self.in_string && self.at > 0 && ends_scalar(byte) {
                return Ok(Some(self.take_document()));
            }
            self.at += 1;
            if self.at > self.max_bytes {
                return Err(Failure::PayloadTooLarge { max_bytes: self.max_bytes });
            }
            if self.step(byte) {
                return Ok(Some(self.take_document()));
            }
        }
        match has_ended {
            true if self.position == Position::Documents && self.depth == 0 && !self.in_string => {
                Ok(Some(self.take_document()))
            }
            true => Err(malformed("the JSON ends too early")),
            false => Ok(None),
        }
    }

    /// Consumes one byte of a document; returns `true` if it was the last.
    fn step(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return !self.in_string && self.depth == 0;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0;
            }
            _ => {}
        }
        false
    }

    fn take_document(&mut self) -> Bytes {
        if self.position != Position::Documents {
            self.position = Position::AfterElement;
        }
        let document = self.buffer.split_to(self.at).freeze();
        self.at = 0;
        document
    }

    /// Drops the separators before the next document; returns `false` if that document has not arrived yet.
    fn skip_separators(&mut self) -> Result<bool, Failure> {
        if self.position == Position::Mark && !self.buffer.is_empty() {
            if self.buffer.len() < MARK.len() && MARK.starts_with(&self.buffer) {
                return Ok(false);
            }
            if self.buffer.starts_with(MARK) {
                self.buffer.advance(MARK.len());
            }
            self.position = Position::Start;
        }
        while let Some(&byte) = self.buffer.first() {
            let next = match (self.position, byte) {
                (position, b' ' | b'\t' | b'\r' | b'\n') => position,
                (Position::Mark | Position::Start, b'[') => Position::FirstElement,
                (Position::Mark | Position::Start, _) => {
                    return Err(malformed("expected an array; NDJSON has the media type application/x-ndjson"));
                }
                (Position::AfterElement, b',') => Position::NextElement,
                (Position::AfterElement | Position::FirstElement, b']') => Position::End,
                (Position::FirstElement | Position::NextElement, b',' | b']') => {
                    return Err(malformed("an array lacks an element"));
                }
                (Position::Documents | Position::FirstElement | Position::NextElement, _) => return Ok(true),
                (Position::AfterElement | Position::End, _) => return Err(malformed("expected ',' or ']'")),
            };
            self.position = next;
            self.buffer.advance(1);
        }
        Ok(false)
    }

    fn finish(&self) -> Result<Option<Bytes>, Failure> {
        match self.position {
            Position::Documents | Position::End => Ok(None),
            _ => Err(malformed("the JSON ends too early")),
        }
    }
}

/// Returns whether the byte ends a document that is a bare number or word.
fn ends_scalar(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',' | b']')
}

fn malformed(message: &str) -> Failure {
    Failure::Malformed { field: None, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(lines: bool, body: &str, size: usize) -> Result<Vec<String>, Failure> {
        let mut splitter = Splitter::new(lines, 40);
        let mut documents = Vec::new();
        for chunk in body.as_bytes().chunks(size) {
            splitter.push(chunk);
            while let Some(document) = splitter.next(false)? {
                documents.push(String::from_utf8(document.to_vec()).unwrap());
            }
        }
        while let Some(document) = splitter.next(true)? {
            documents.push(String::from_utf8(document.to_vec()).unwrap());
        }
        Ok(documents)
    }

    #[test]
    fn documents_are_found_in_any_chunking() {
        let cases: [(&str, bool, &[&str]); 10] = [
            ("\u{feff} [1,2]", false, &["1", "2"]),
            (r#"[{"a":"]}\""}, {"b":[1,{}]}]"#, false, &[r#"{"a":"]}\""}"#, r#"{"b":[1,{}]}"#]),
            ("{\"a\":1}\n{\"b\":2}\r\n\n", true, &[r#"{"a":1}"#, r#"{"b":2}"#]),
            (r#"{"a":1}{"b":2}"#, true, &[r#"{"a":1}"#, r#"{"b":2}"#]),
            ("[1, true,\"x\" ]", false, &["1", "true", "\"x\""]),
            ("1 2\n3", true, &["1", "2", "3"]),
            ("[1]\n[2]", true, &["[1]", "[2]"]),
            (" [ ] ", false, &[]),
            ("", true, &[]),
            ("\n\n", true, &[]),
        ];
        for (body, lines, expected) in cases {
            for size in 1..=body.len().max(1) {
                assert_eq!(split(lines, body, size).unwrap(), expected, "{body:?} in {size}s");
            }
        }
    }

    #[test]
    fn incomplete_bodies_are_refused() {
        for body in [
            "",
            " ",
            "{}",
            "1",
            "[",
            "[1",
            "[1,",
            "[1,]",
            "[,1]",
            "[1 2]",
            "\u{feff}",
            "\u{feff}\u{feff}[1]",
            " \u{feff}[1]",
            "[1]x",
            "{",
            "\"a",
            "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
        ] {
            for size in 1..=body.len().max(1) {
                assert!(split(false, body, size).is_err(), "{body:?} in {size}s");
            }
        }
    }

    #[test]
    fn a_document_has_at_most_the_maximum_of_bytes() {
        // The argument is the size of each document in bytes.
        let documents: [fn(usize) -> String; 3] = [
            |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2)),
            |bytes: usize| format!("[{}]", "1".repeat(bytes - 2)),
            |bytes: usize| "1".repeat(bytes),
        ];
        for document in documents {
            for size in [1, 7, 100] {
                let body = |bytes| format!("[{}]", document(bytes));
                assert_eq!(split(false, &body(40), size).unwrap(), [document(40)]);
                for bytes in [41, 50] {
                    let result = split(false, &body(bytes), size);
                    assert!(matches!(result, Err(Failure::PayloadTooLarge { max_bytes: 40 })), "{result:?} in {size}s");
                }
            }
        }
    }
}
