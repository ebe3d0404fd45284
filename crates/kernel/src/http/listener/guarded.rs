//! The bytes of a connection, with an eye on the time: a peer must say which protocol it speaks, read what it asked for,
//! and not send control frames without end.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use metrics::counter;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

use super::frames::{Frames, PREFACE};

/// A connection that fails as soon as its peer stalls or floods.
pub(super) struct Guarded<T> {
    io: T,
    protocol: Protocol,
    stalled_after: Duration,
    /// Runs while the peer does not read.
    stalled: Option<Pin<Box<Sleep>>>,
}

enum Protocol {
    /// So far the peer has sent the first `matched` bytes of HTTP/2's preface.
    Unknown {
        matched: usize,
        until: Pin<Box<Sleep>>,
    },
    Http1,
    Http2(Frames),
}

impl<T> Guarded<T> {
    /// Expects the first bytes within `silent_for`, and the peer to read at least once in `stalled_after`.
    pub(super) fn new(io: T, silent_for: Duration, stalled_after: Duration) -> Self {
        let protocol = Protocol::Unknown { matched: 0, until: Box::pin(tokio::time::sleep(silent_for)) };
        Self { io, protocol, stalled_after, stalled: None }
    }

    fn inspect_received(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if let Protocol::Unknown { matched, .. } = &mut self.protocol {
            let expected = &PREFACE[*matched..];
            let length = expected.len().min(bytes.len());
            if bytes[..length] != expected[..length] {
                self.protocol = Protocol::Http1;
            } else if length < expected.len() {
                *matched += length;
            } else {
                self.protocol = Protocol::Http2(Frames::new(Instant::now()));
                bytes = &bytes[length..];
            }
        }
        let Protocol::Http2(frames) = &mut self.protocol else { return Ok(()) };
        if frames.read(bytes, Instant::now()) { Ok(()) } else { Err(close_error("flood")) }
    }

    /// Fails if the peer has not read for too long.
    fn progress<R>(&mut self, context: &mut Context<'_>, result: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if result.is_ready() {
            self.stalled = None;
            return result;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.stalled_after)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(close_error("stalled")))
    }

    fn wrote(&mut self, result: &Poll<io::Result<usize>>) {
        if let (Protocol::Http2(frames), Poll::Ready(Ok(bytes))) = (&mut self.protocol, result) {
            frames.wrote(*bytes);
        }
    }
}

fn close_error(reason: &'static str) -> io::Error {
    counter!("mainstay_connections_closed_total", "reason" => reason).increment(1);
    io::Error::new(io::ErrorKind::TimedOut, reason)
}

impl<T: AsyncRead + Unpin> AsyncRead for Guarded<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.io).poll_read(context, buffer) {
            Poll::Ready(Ok(())) => {
                let inspected = self.inspect_received(&buffer.filled()[before..]);
                if inspected.is_err() {
                    // A read that fails has read nothing.
                    buffer.set_filled(before);
                }
                Poll::Ready(inspected)
            }
            Poll::Pending => {
                let Protocol::Unknown { until, .. } = &mut self.protocol else { return Poll::Pending };
                ready!(until.as_mut().poll(context));
                Poll::Ready(Err(close_error("silent")))
            }
            failed => failed,
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Guarded<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write(context, bytes);
        self.wrote(&result);
        self.progress(context, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write_vectored(context, pieces);
        self.wrote(&result);
        self.progress(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.io).poll_flush(context);
        self.progress(context, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.io).poll_shutdown(context);
        self.progress(context, result)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    async fn first_bytes(bytes: &[u8]) -> io::Result<usize> {
        let (mut peer, io) = tokio::io::duplex(1024);
        let mut guarded = Guarded::new(io, LIMIT, LIMIT);
        peer.write_all(bytes).await.expect("room");
        let mut buffer = [0; 1024];
        let mut read = 0;
        while read < bytes.len() {
            read += guarded.read(&mut buffer[read..]).await?;
        }
        tokio::time::timeout(LIMIT * 2, guarded.read(&mut buffer)).await.unwrap_or(Ok(0))
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_says_what_it_speaks() {
        for silent in [&b""[..], b"P", &PREFACE[..12]] {
            assert_eq!(first_bytes(silent).await.expect_err("in time").to_string(), "silent", "{silent:?}");
        }
        for prefix in [&b"G"[..], b"PO", PREFACE] {
            first_bytes(prefix).await.expect("left to the protocol's own timeouts");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_reads() {
        let (mut peer, io) = tokio::io::duplex(4);
        let mut guarded = Guarded::new(io, LIMIT, LIMIT);
        let slow = tokio::spawn(async move {
            let mut byte = [0];
            for _ in 0..8 {
                tokio::time::sleep(LIMIT - Duration::from_secs(1)).await;
                peer.read_exact(&mut byte).await.expect("a byte");
            }
            peer
        });
        guarded.write_all(b"12345678").await.expect("a slow reader is waited for");
        let _peer = slow.await.expect("no panic");
        let error = guarded.write_all(b"12345").await.expect_err("nobody reads");
        assert_eq!(error.to_string(), "stalled");
    }

    #[tokio::test]
    async fn a_flood_of_frames_fails() {
        let (mut peer, io) = tokio::io::duplex(1 << 20);
        let mut guarded = Guarded::new(io, LIMIT, LIMIT);
        peer.write_all(PREFACE).await.expect("room");
        let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
        peer.write_all(&ping.repeat(20_000)).await.expect("room");
        let mut all = Vec::new();
        assert_eq!(guarded.read_to_end(&mut all).await.expect_err("too many").to_string(), "flood");
    }
}
