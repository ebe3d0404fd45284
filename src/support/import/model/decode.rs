//! Decoding of a file from any charset to UTF-8.

use std::io::{self, Read};

use encoding_rs::{Decoder, DecoderResult};

use crate::support::import::model::options::Charset;

/// The output for malformed input. It is invalid UTF-8, so that the row is rejected.
const MALFORMED: u8 = 0xff;
/// The number of bytes that decide the charset, and in which byte order marks are skipped.
const MARK_BYTES: usize = 64;
const BUFFER_BYTES: usize = 64 << 10;

/// The byte order marks of the charsets that have one.
const MARKS: [(Charset, &[u8]); 3] =
    [(Charset::UTF_8, b"\xef\xbb\xbf"), (Charset::UTF_16LE, b"\xff\xfe"), (Charset::UTF_16BE, b"\xfe\xff")];

/// Returns the charset that the beginning of a file indicates, and the length of its byte order marks. A program that adds
/// a mark to a text that has one writes two.
fn charset(beginning: &[u8], declared: Option<Charset>) -> (Charset, usize) {
    if let Some((charset, mark)) = MARKS.into_iter().find(|(_, mark)| beginning.starts_with(mark)) {
        let marks = beginning.chunks(mark.len()).take_while(|chunk| *chunk == mark).count();
        return (charset, marks * mark.len());
    }
    let guessed = match beginning {
        // A header neither begins with NUL nor has it as its second character.
        [first, 0, ..] if *first != 0 => Charset::UTF_16LE,
        [0, second, ..] if *second != 0 => Charset::UTF_16BE,
        _ => Charset::UTF_8,
    };
    (declared.unwrap_or(guessed), 0)
}

/// A file as UTF-8, without a byte order mark. The bytes of a UTF-8 file are passed on unchanged.
pub(crate) struct Utf8<R> {
    inner: R,
    declared: Option<Charset>,
    /// The charset, after the beginning was read.
    charset: Option<Charset>,
    decoder: Option<Decoder>,
    input: Vec<u8>,
    at: usize,
    filled: usize,
    /// The decoded output, its length, and the number of bytes that were taken from it.
    output: Vec<u8>,
    decoded: usize,
    taken: usize,
    is_over: bool,
}

impl<R: Read> Utf8<R> {
    pub(crate) fn new(inner: R, declared: Option<Charset>) -> Self {
        Self {
            inner,
            declared,
            charset: None,
            decoder: None,
            input: vec![0; BUFFER_BYTES],
            at: 0,
            filled: 0,
            output: Vec::new(),
            decoded: 0,
            taken: 0,
            is_over: false,
        }
    }

    /// Returns the charset.
    ///
    /// # Errors
    /// If the beginning can't be read.
    pub(crate) fn charset(&mut self) -> io::Result<Charset> {
        if let Some(charset) = self.charset {
            return Ok(charset);
        }
        // The beginning may arrive in several reads.
        while self.filled < MARK_BYTES {
            match self.inner.read(&mut self.input[self.filled..])? {
                0 => break,
                more => self.filled += more,
            }
        }
        let (charset, mark) = charset(&self.input[..self.filled], self.declared);
        self.at = mark;
        if charset != Charset::UTF_8 {
            self.decoder = Some(charset.encoding().new_decoder_without_bom_handling());
            // The extra byte is for the marker of malformed input.
            self.output = vec![0; BUFFER_BYTES + 1];
        }
        Ok(*self.charset.insert(charset))
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.at == self.filled {
            (self.at, self.filled) = (0, self.inner.read(&mut self.input)?);
        }
        Ok(())
    }

    /// Decodes the next piece of the input into the empty output.
    fn decode(&mut self, decoder: &mut Decoder) -> io::Result<()> {
        self.fill()?;
        let last = self.filled == 0;
        let input = &self.input[self.at..self.filled];
        let output = &mut self.output[..BUFFER_BYTES];
        let (result, read, length) = decoder.decode_to_utf8_without_replacement(input, output, last);
        self.at += read;
        (self.taken, self.decoded) = (0, length);
        match result {
            DecoderResult::Malformed(..) => {
                self.output[length] = MALFORMED;
                self.decoded += 1;
            }
            DecoderResult::InputEmpty => self.is_over = last,
            DecoderResult::OutputFull => {}
        }
        Ok(())
    }
}

impl<R: Read> Read for Utf8<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.charset()?;
        let Some(mut decoder) = self.decoder.take() else {
            self.fill()?;
            let read = (&self.input[self.at..self.filled]).read(out)?;
            self.at += read;
            return Ok(read);
        };
        while self.taken == self.decoded && !self.is_over {
            self.decode(&mut decoder)?;
        }
        self.decoder = Some(decoder);
        let read = (&self.output[self.taken..self.decoded]).read(out)?;
        self.taken += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that returns one byte at a time.
    struct Slowly<'a>(&'a [u8]);

    impl Read for Slowly<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let end = out.len().min(1);
            self.0.read(&mut out[..end])
        }
    }

    fn decoded(bytes: &[u8], declared: Option<&str>) -> Vec<u8> {
        let declared = declared.map(|label| Charset::from_label(label).expect("a charset"));
        let (mut at_once, mut slowly) = (Vec::new(), Vec::new());
        Utf8::new(bytes, declared).read_to_end(&mut at_once).expect("a slice is read");
        Utf8::new(Slowly(bytes), declared).read_to_end(&mut slowly).expect("a slice is read");
        assert_eq!(at_once, slowly);
        at_once
    }

    fn utf_16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    #[test]
    fn the_charset_is_told_by_the_mark_or_by_the_sender() {
        let text = "a,ü,打,\u{1f600}\r\n";
        let marked = format!("\u{feff}{text}");
        for bytes in [
            text.as_bytes().to_vec(),
            marked.as_bytes().to_vec(),
            utf_16(&marked, u16::to_le_bytes),
            utf_16(&marked, u16::to_be_bytes),
            utf_16(text, u16::to_le_bytes),
            utf_16(text, u16::to_be_bytes),
        ] {
            assert_eq!(decoded(&bytes, None), text.as_bytes(), "{bytes:?}");
        }
        // A byte order mark takes precedence over the declared charset.
        assert_eq!(decoded(&utf_16(&marked, u16::to_le_bytes), Some("utf-8")), text.as_bytes());
        assert_eq!(decoded(b"\xef\xbb\xbf\xc3\xbc", Some("windows-1252")), "ü".as_bytes());
        assert_eq!(decoded(b"a,\xfc,\x80", Some("windows-1252")), "a,ü,€".as_bytes());
        assert_eq!(decoded(b"\x93\xfa\x96\x7b", Some("shift_jis")), "日本".as_bytes());
        assert_eq!(decoded(b"", None), b"");
        assert_eq!(decoded(b"\xef\xbb\xbf", None), b"");
        let twice = format!("\u{feff}{marked}");
        assert_eq!(decoded(twice.as_bytes(), None), text.as_bytes());
        assert_eq!(decoded(&utf_16(&twice, u16::to_le_bytes), None), text.as_bytes());
        assert_eq!(decoded(&utf_16(&twice, u16::to_be_bytes), Some("utf-8")), text.as_bytes());
    }

    #[test]
    fn invalid_bytes_of_a_charset_are_no_utf_8_either() {
        // Half of a surrogate pair, half of a code unit.
        assert_eq!(decoded(b"\xff\xfea\0\x00\xd8b\0", None), b"a\xffb");
        assert_eq!(decoded(b"\xff\xfea\0b", None), b"a\xff");
        assert_eq!(decoded(b"a\xfc", None), b"a\xfc");
    }

    #[test]
    fn a_long_file_of_nothing_but_errors_is_read_at_once() {
        let bytes = 0xd800_u16.to_le_bytes().repeat(4 << 20);
        let mut out = Vec::new();
        Utf8::new(&bytes[..], Charset::from_label("utf-16le")).read_to_end(&mut out).expect("a slice is read");
        assert_eq!((out.len(), out.iter().all(|&byte| byte == MALFORMED)), (4 << 20, true));
    }

    #[test]
    fn a_long_file_is_read_in_pieces() {
        let text = "ü打\u{1f600}".repeat(50_000);
        let bytes = utf_16(&text, u16::to_le_bytes);
        let mut out = Vec::new();
        Utf8::new(&bytes[..], Charset::from_label("utf-16le")).read_to_end(&mut out).expect("a slice is read");
        assert!(out == text.as_bytes());
    }
}
