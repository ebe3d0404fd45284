//! SQLSTATE of Postgres errors.
//!
//! diesel classifies a few errors and keeps only the message of the others, in the language of the server
//! (`lc_messages`). The stream therefore prefixes the message with the code on the wire, such as
//! `57014 canceling statement due to …`. [`of`] parses the prefix.
//!
//! The stream also logs why an open connection ended. The library reports the cause to a running statement only, so that
//! the cause of a connection lost while idle would be unknown.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, BufMut as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::last_failure::LastFailure;

/// The type of a message and its length (PostgreSQL documentation, section 54.7).
const HEADER_BYTES: usize = 5;
/// The most bytes of an error that is rewritten. Errors of Postgres are shorter; a longer one is passed on unchanged.
const MAX_ERROR_BYTES: usize = 1 << 20;
const READ_BYTES: usize = 8 << 10;

/// Returns the SQLSTATE prefix of an error message.
pub(crate) fn of(message: &str) -> Option<&str> {
    let (code, _) = message.split_once(' ')?;
    is_code(code.as_bytes()).then_some(code)
}

fn is_code(code: &[u8]) -> bool {
    code.len() == 5 && code.iter().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
}

/// A stream from Postgres that prefixes each error message with its SQLSTATE.
#[derive(Debug)]
pub(super) struct Coded<S> {
    inner: S,
    messages: Messages,
    failures: Arc<LastFailure>,
    /// Whether the end of the connection needs no log line: this side closes it, or the line is written.
    is_ending: bool,
}

impl<S> Coded<S> {
    pub(super) fn new(inner: S, failures: Arc<LastFailure>) -> Self {
        Self { inner, messages: Messages::default(), failures, is_ending: false }
    }

    pub(super) fn inner(&self) -> &S {
        &self.inner
    }

    /// Logs why an open connection ends. The attempt to connect reports an earlier end.
    fn record_end(&mut self, cause: &str) {
        if self.messages.is_open && !std::mem::replace(&mut self.is_ending, true) {
            self.failures.record_loss(cause);
        }
    }
}

#[derive(Debug, Default)]
struct Messages {
    ready: BytesMut,
    /// The beginning of a header or of an error message.
    partial: BytesMut,
    /// The remaining bytes of a message that is passed on unchanged.
    rest: usize,
    /// Whether the server was ready for a statement.
    is_open: bool,
    /// The error after which the server closes the connection.
    fatal: Option<String>,
}

impl Messages {
    fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let missing = if self.rest > 0 { self.rest } else { self.target_length() - self.partial.len() };
            let (head, tail) = bytes.split_at(missing.min(bytes.len()));
            bytes = tail;
            if self.rest > 0 {
                self.rest -= head.len();
                self.ready.extend_from_slice(head);
                continue;
            }
            self.partial.extend_from_slice(head);
            if self.partial.len() < HEADER_BYTES {
                continue;
            }
            let total = self.total();
            self.is_open |= self.partial[0] == b'Z';
            if !self.is_error() || total > MAX_ERROR_BYTES {
                self.rest = total.saturating_sub(self.partial.len());
                self.ready.unsplit(self.partial.split());
            } else if self.partial.len() >= total {
                let error = self.partial.split();
                put_coded(&error, &mut self.ready);
                self.fatal = fatal(&error).or(self.fatal.take());
            }
        }
    }

    /// Returns the length that `partial` must reach before it can be processed.
    fn target_length(&self) -> usize {
        if self.partial.len() < HEADER_BYTES { HEADER_BYTES } else { self.total() }
    }

    fn is_error(&self) -> bool {
        self.partial.first() == Some(&b'E')
    }

    fn total(&self) -> usize {
        let length = self.partial.get(1..HEADER_BYTES).map_or(0, |mut length| length.get_i32());
        1 + usize::try_from(length).unwrap_or(0).max(4)
    }
}

/// Returns a field of an error message (PostgreSQL documentation, section 54.8).
fn field(error: &[u8], kind: u8) -> Option<&[u8]> {
    error[HEADER_BYTES..].split(|&byte| byte == 0).find_map(|field| field.strip_prefix(&[kind]))
}

/// Returns the code and the text of an error that ends the connection. `V` is the severity in any language.
fn fatal(error: &[u8]) -> Option<String> {
    let text = |kind| field(error, kind).map(String::from_utf8_lossy);
    let is_fatal = matches!(field(error, b'V'), Some(b"FATAL" | b"PANIC"));
    Some(format!("{} {}", text(b'C')?, text(b'M')?)).filter(|_| is_fatal)
}

/// Appends an error message, with the code in front of its text if it has both.
fn put_coded(error: &[u8], out: &mut BytesMut) {
    let (code, text) = (field(error, b'C').filter(|code| is_code(code)), field(error, b'M'));
    let (Some(code), Some(text)) = (code, text) else { return out.extend_from_slice(error) };
    let at = text.as_ptr().addr() - error.as_ptr().addr();
    out.put_u8(b'E');
    // The length was parsed from a valid header, so that the sum fits.
    out.put_i32(i32::try_from(error.len() + code.len()).unwrap_or(i32::MAX));
    out.extend_from_slice(&error[HEADER_BYTES..at]);
    out.extend_from_slice(code);
    out.put_u8(b' ');
    out.extend_from_slice(&error[at..]);
}

impl<S: AsyncRead + Unpin> AsyncRead for Coded<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.messages.ready.is_empty() {
            let mut bytes = [MaybeUninit::uninit(); READ_BYTES];
            let mut read = ReadBuf::uninit(&mut bytes);
            let outcome = ready!(Pin::new(&mut this.inner).poll_read(cx, &mut read));
            if outcome.is_err() || read.filled().is_empty() {
                let cause = outcome.as_ref().err().map(ToString::to_string);
                this.record_end(cause.as_deref().unwrap_or("the server closed it without an error message"));
                return Poll::Ready(outcome);
            }
            this.messages.feed(read.filled());
            // The library reads no further.
            if let Some(fatal) = this.messages.fatal.take() {
                this.record_end(&fatal);
            }
        }
        let ready = &mut this.messages.ready;
        let part = ready.split_to(ready.len().min(buf.remaining()));
        buf.put_slice(&part);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Coded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_ending = true;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = i32::try_from(body.len() + 4).expect("short").to_be_bytes();
        [&[kind], &length[..], body].concat()
    }

    /// Feeds the bytes in pieces of `size`, and returns the output.
    fn through(bytes: &[u8], size: usize) -> Vec<u8> {
        let mut messages = Messages::default();
        bytes.chunks(size).for_each(|piece| messages.feed(piece));
        messages.ready.to_vec()
    }

    #[test]
    fn the_text_of_an_error_begins_with_its_code_however_it_arrives() {
        let before = message(b'D', b"E is no error here");
        let error = message(b'E', b"SFEHLER\0VERROR\0C57014\0MAbbruch der Anweisung\0\0");
        let coded = message(b'E', b"SFEHLER\0VERROR\0C57014\0M57014 Abbruch der Anweisung\0\0");
        let after = message(b'Z', b"I");
        let (input, expected) = ([&*before, &error, &after].concat(), [&*before, &coded, &after].concat());
        for size in 1..input.len() {
            assert_eq!(through(&input, size), expected, "pieces of {size}");
        }
    }

    #[test]
    fn a_message_of_another_form_is_passed_on() {
        for body in [&b""[..], b"\0", b"Mtext\0\0", b"C57014\0\0", b"Cshort\0Mtext\0\0"] {
            let input = message(b'E', body);
            assert_eq!(through(&input, 3), input);
        }
        // An invalid length ends the connection, which the client detects.
        assert_eq!(through(b"D\xff\xff\xff\xff", 5), b"D\xff\xff\xff\xff");
    }

    #[test]
    fn a_code_is_read_back() {
        assert_eq!(of("40P01 deadlock detected"), Some("40P01"));
        for other in ["connection closed", "", "57014", "error communicating with the server"] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
