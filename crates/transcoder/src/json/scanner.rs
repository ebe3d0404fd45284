//! A JSON scanner over one document: strict grammar (RFC 8259), bounded depth, no tree.

use std::borrow::Cow;

use super::ReadError;

type Result<T> = std::result::Result<T, ReadError>;

/// A position in a document. A copy looks ahead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
    max_depth: u32,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(json: &'a [u8], max_depth: u32) -> Result<Self> {
        let text = std::str::from_utf8(json).map_err(|_| ReadError::new("the body is not valid UTF-8"))?;
        // A reader may ignore a byte order mark (RFC 8259, section 8.1), which editors and shells of Windows write.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Ok(Self { text, at: 0, depth: 0, max_depth })
    }

    /// Returns the first byte of the next token.
    #[inline]
    pub(super) fn peek(&mut self) -> Result<u8> {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Ok(byte);
            }
            self.at += 1;
        }
        Err(ReadError::new("the JSON ends too early"))
    }

    /// Checks that only whitespace follows.
    pub(super) fn end(&mut self) -> Result<()> {
        match self.peek() {
            Ok(_) => Err(self.unexpected("the end")),
            Err(_) => Ok(()),
        }
    }

    /// Reads an object; `member` reads the value of each name.
    pub(super) fn object(&mut self, mut member: impl FnMut(&mut Self, Cow<'a, str>) -> Result<()>) -> Result<()> {
        self.open(b'{', "an object")?;
        if self.peek()? == b'}' {
            return self.close();
        }
        loop {
            let name = self.string("a member name")?;
            self.expect(b':', "':'")?;
            member(self, name)?;
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => return self.close(),
                _ => return Err(self.unexpected("',' or '}'")),
            }
        }
    }

    /// Reads an array; `element` reads the value at each index.
    pub(super) fn array(&mut self, mut element: impl FnMut(&mut Self, usize) -> Result<()>) -> Result<()> {
        self.open(b'[', "an array")?;
        if self.peek()? == b']' {
            return self.close();
        }
        for index in 0.. {
            element(self, index)?;
            match self.peek()? {
                b',' => self.at += 1,
                b']' => return self.close(),
                _ => return Err(self.unexpected("',' or ']'")),
            }
        }
        Ok(())
    }

    fn open(&mut self, bracket: u8, expected: &str) -> Result<()> {
        self.expect(bracket, expected)?;
        self.depth += 1;
        if self.depth > self.max_depth {
            return Err(ReadError::new(format!("nests deeper than {} levels", self.max_depth)));
        }
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        self.at += 1;
        self.depth -= 1;
        Ok(())
    }

    fn expect(&mut self, byte: u8, expected: &str) -> Result<()> {
        if self.peek()? != byte {
            return Err(self.unexpected(expected));
        }
        self.at += 1;
        Ok(())
    }

    /// Builds the error of a document that has something else here.
    pub(super) fn unexpected(&self, expected: &str) -> ReadError {
        let actual = match self.text.as_bytes().get(self.at) {
            None => "the end",
            Some(b'"') => "a string",
            Some(b'{') => "an object",
            Some(b'[') => "an array",
            Some(b't' | b'f') => "a bool",
            Some(b'n') => "null",
            Some(b'-' | b'0'..=b'9') => "a number",
            Some(_) => "something else",
        };
        ReadError::new(format!("expected {expected}, found {actual}"))
    }

    /// Reads `true`, `false` or `null`.
    pub(super) fn literal(&mut self, literal: &'static str) -> Result<()> {
        if !self.text[self.at..].starts_with(literal) {
            return Err(ReadError::new("the body is not valid JSON"));
        }
        self.at += literal.len();
        Ok(())
    }

    pub(super) fn boolean(&mut self) -> Result<bool> {
        match self.peek()? {
            b't' => self.literal("true").map(|()| true),
            b'f' => self.literal("false").map(|()| false),
            _ => Err(self.unexpected("a bool")),
        }
    }

    /// Reads a number as text.
    pub(super) fn number(&mut self) -> Result<&'a str> {
        self.peek()?;
        let bytes = &self.text.as_bytes()[self.at..];
        let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let bad = || ReadError::new("not a JSON number");
        let mut end = usize::from(bytes.first() == Some(&b'-'));
        let whole = digits(end);
        if whole == 0 || (whole > 1 && bytes[end] == b'0') {
            return Err(bad());
        }
        end += whole;
        if bytes.get(end) == Some(&b'.') {
            let fraction = digits(end + 1);
            if fraction == 0 {
                return Err(bad());
            }
            end += 1 + fraction;
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let exponent = digits(end + 1 + sign);
            if exponent == 0 {
                return Err(bad());
            }
            end += 1 + sign + exponent;
        }
        let number = &self.text[self.at..self.at + end];
        self.at += end;
        Ok(number)
    }

    /// Reads a string; borrowed unless it has escapes.
    pub(super) fn string(&mut self, expected: &str) -> Result<Cow<'a, str>> {
        self.expect(b'"', expected)?;
        let start = self.at;
        let plain = self.unescaped()?;
        if self.text.as_bytes()[self.at] == b'"' {
            self.at += 1;
            return Ok(Cow::Borrowed(plain));
        }
        let mut owned = String::with_capacity(self.at - start + 16);
        owned.push_str(plain);
        loop {
            // `unescaped` stops at a quote or a backslash.
            self.at += 1;
            if self.text.as_bytes()[self.at - 1] == b'"' {
                return Ok(Cow::Owned(owned));
            }
            owned.push(self.escape()?);
            owned.push_str(self.unescaped()?);
        }
    }

    /// Reads up to the next quote or backslash.
    fn unescaped(&mut self) -> Result<&'a str> {
        let start = self.at;
        for (offset, &byte) in self.text.as_bytes()[start..].iter().enumerate() {
            match byte {
                b'"' | b'\\' => {
                    self.at = start + offset;
                    return Ok(&self.text[start..self.at]);
                }
                0..0x20 => return Err(ReadError::new("a string holds a control character")),
                _ => {}
            }
        }
        self.at = self.text.len();
        Err(ReadError::new("a string does not end"))
    }

    fn escape(&mut self) -> Result<char> {
        let bad = || ReadError::new("a string holds a broken escape");
        let byte = *self.text.as_bytes().get(self.at).ok_or_else(bad)?;
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => byte.into(),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.hex().ok_or_else(bad)?;
                if !(0xd800..0xdc00).contains(&unit) {
                    return char::from_u32(unit).ok_or_else(bad);
                }
                self.text[self.at..].starts_with("\\u").then_some(()).ok_or_else(bad)?;
                self.at += 2;
                let low = self.hex().filter(|low| (0xdc00..0xe000).contains(low)).ok_or_else(bad)?;
                char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00)).ok_or_else(bad)?
            }
            _ => return Err(bad()),
        })
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4)?;
        self.at += 4;
        digits.iter().try_fold(0, |value, &byte| Some(value << 4 | char::from(byte).to_digit(16)?))
    }

    /// Skips one value, which must still be valid JSON.
    pub(super) fn skip(&mut self) -> Result<()> {
        match self.peek()? {
            b'{' => self.object(|scanner, _| scanner.skip()),
            b'[' => self.array(|scanner, _| scanner.skip()),
            b'"' => self.string("a string").map(drop),
            b'n' => self.literal("null"),
            b't' | b'f' => self.boolean().map(drop),
            b'-' | b'0'..=b'9' => super::text::double(self.number()?).map(drop),
            _ => Err(ReadError::new("the body is not valid JSON")),
        }
    }
}
