//! Reads a file sequentially, and skips the parts that are not requested.

use std::io::{self, BufRead as _, BufReader, Read, Seek};

/// A position in a file.
pub(super) struct Scanner<R> {
    reader: BufReader<R>,
    at: u64,
    length: u64,
}

impl<R: Read + Seek> Scanner<R> {
    /// Starts at the beginning of a file.
    pub(super) fn begin(mut file: R) -> io::Result<Self> {
        let length = file.seek(io::SeekFrom::End(0))?;
        file.rewind()?;
        Ok(Self { reader: BufReader::new(file), at: 0, length })
    }

    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Reads the next bytes without advancing.
    pub(super) fn peek(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let next = self.reader.fill_buf()?;
        let length = next.len().min(bytes.len());
        bytes[..length].copy_from_slice(&next[..length]);
        Ok(length)
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        self.at += N as u64;
        Ok(bytes)
    }

    pub(super) fn byte(&mut self) -> io::Result<u8> {
        self.bytes().map(|[byte]| byte)
    }

    /// Skips bytes.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file has fewer bytes.
    pub(super) fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let target = self.at.checked_add(bytes).filter(|target| *target <= self.length);
        let target = target.ok_or(io::ErrorKind::UnexpectedEof)?;
        self.reader.seek_relative(i64::try_from(bytes).map_err(io::Error::other)?)?;
        self.at = target;
        Ok(())
    }

    /// Skips to a later position.
    pub(super) fn skip_to(&mut self, target: u64) -> io::Result<()> {
        self.skip(target.checked_sub(self.at).ok_or(io::ErrorKind::InvalidData)?)
    }

    /// Skips to the next byte with a value.
    pub(super) fn skip_to_byte(&mut self, value: u8) -> io::Result<()> {
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let position = buffer.iter().position(|byte| *byte == value);
            let passed = position.unwrap_or(buffer.len());
            self.reader.consume(passed);
            self.at += passed as u64;
            if position.is_some() {
                return Ok(());
            }
        }
    }
}
