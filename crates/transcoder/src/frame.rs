//! gRPC's length-prefixed messages, and the status that follows them.
//!
//! Source: <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use tonic::{Code, Status, TimeoutExpired};

use crate::BoxError;

/// The length of the prefix of each message: a flag and the message's length.
pub(crate) const PREFIX_BYTES: usize = 5;

/// Begins a frame with room for a message of `capacity` bytes; the message is appended, then [`finish`] writes its length.
pub(crate) fn begin(capacity: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(PREFIX_BYTES + capacity);
    frame.resize(PREFIX_BYTES, 0);
    frame
}

/// Writes the length into the frame's prefix.
///
/// # Errors
/// The message is longer than 4 GiB.
pub(crate) fn finish(mut frame: Vec<u8>) -> Result<Bytes, Status> {
    let length = u32::try_from(frame.len() - PREFIX_BYTES)
        .map_err(|_| Status::resource_exhausted("a message is longer than 4 GiB"))?;
    frame[1..PREFIX_BYTES].copy_from_slice(&length.to_be_bytes());
    Ok(frame.into())
}

/// Splits a body into its messages. Buffers at most one message in addition to the last chunk.
#[derive(Debug)]
pub(crate) struct Deframer {
    /// The last chunk; it usually holds whole messages, which are sliced out without a copy.
    chunk: Bytes,
    /// The beginning of a message that has not arrived completely.
    partial: BytesMut,
    max_bytes: usize,
}

impl Deframer {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { chunk: Bytes::new(), partial: BytesMut::new(), max_bytes }
    }

    /// Adds a chunk. Call it only after [`Self::next`] has returned `None`.
    pub(crate) fn push(&mut self, chunk: Bytes) {
        debug_assert!(self.chunk.is_empty());
        self.chunk = chunk;
    }

    /// Returns the next message.
    ///
    /// # Errors
    /// An error if a message is compressed, although no compression was offered, or longer than the limit.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, Status> {
        let buffered = self.partial.len();
        if buffered < PREFIX_BYTES {
            if buffered == 0 && self.chunk.len() >= PREFIX_BYTES {
                let length = self.length(&self.chunk)?;
                if self.chunk.len() >= PREFIX_BYTES + length {
                    self.chunk.advance(PREFIX_BYTES);
                    return Ok(Some(self.chunk.split_to(length)));
                }
            }
            self.fill(PREFIX_BYTES);
            if self.partial.len() < PREFIX_BYTES {
                return Ok(None);
            }
        }
        let whole = PREFIX_BYTES + self.length(&self.partial)?;
        self.fill(whole);
        if self.partial.len() < whole {
            return Ok(None);
        }
        self.partial.advance(PREFIX_BYTES);
        Ok(Some(self.partial.split().freeze()))
    }

    /// Moves bytes from the chunk until `length` bytes are buffered.
    fn fill(&mut self, length: usize) {
        let missing = length.saturating_sub(self.partial.len()).min(self.chunk.len());
        self.partial.extend_from_slice(&self.chunk.split_to(missing));
    }

    fn length(&self, prefix: &[u8]) -> Result<usize, Status> {
        if prefix[0] != 0 {
            return Err(Status::internal("the upstream compressed a message without being asked"));
        }
        let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
        if length > self.max_bytes {
            return Err(Status::internal(format!("the upstream's message has {length} bytes, too many")));
        }
        Ok(length)
    }

    /// Returns whether the body ended between two messages.
    pub(crate) fn is_empty(&self) -> bool {
        self.chunk.is_empty() && self.partial.is_empty()
    }
}

/// Returns the outcome in the trailers (or in the headers of a response without a body), or `None` if there is none.
pub(crate) fn outcome(headers: &HeaderMap) -> Option<Result<(), Status>> {
    let status = Status::from_header_map(headers)?;
    Some(if status.code() == Code::Ok { Ok(()) } else { Err(status) })
}

/// Returns the status of a connection that failed. A timeout of the connection is DEADLINE_EXCEEDED; tonic would say
/// CANCELLED, as if the client had given up.
pub(crate) fn from_error(error: BoxError) -> Status {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&*error);
    while let Some(error) = cause {
        if error.is::<TimeoutExpired>() {
            return Status::deadline_exceeded(EXPIRED);
        }
        cause = error.source();
    }
    Status::from_error(error)
}

/// Returns the status for the client of a call whose timeout has expired: an upstream that notices the timeout at the same
/// time may cancel the call without details, as tonic's server does.
pub(crate) fn after_deadline(status: Status) -> Status {
    let is_cancelled = status.code() == Code::Cancelled && status.details().is_empty();
    if is_cancelled { Status::deadline_exceeded(EXPIRED) } else { status }
}

const EXPIRED: &str = "the timeout expired before the upstream responded";

/// Returns the status of a response that is not gRPC (doc/http-grpc-status-mapping.md).
pub(crate) fn from_http(status: StatusCode) -> Status {
    let code = match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    };
    Status::new(code, format!("the upstream responded {status} without a gRPC status"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_any_chunking() {
        let mut body = Vec::new();
        for message in [&b"first"[..], b"", b"third one"] {
            let mut frame = begin(0);
            frame.extend_from_slice(message);
            body.extend_from_slice(&finish(frame).unwrap());
        }
        for size in 1..=body.len() {
            let mut deframer = Deframer::new(100);
            let mut messages = Vec::new();
            for chunk in body.chunks(size) {
                deframer.push(Bytes::copy_from_slice(chunk));
                while let Some(message) = deframer.next().unwrap() {
                    messages.push(message);
                }
            }
            assert_eq!(messages, [&b"first"[..], b"", b"third one"], "chunks of {size}");
            assert!(deframer.is_empty());
        }
    }

    #[test]
    fn a_long_or_compressed_message_is_refused() {
        for prefix in [[0, 0, 0, 0, 101], [1, 0, 0, 0, 1]] {
            let mut deframer = Deframer::new(100);
            deframer.push(Bytes::copy_from_slice(&prefix));
            assert!(deframer.next().is_err());
        }
    }
}
