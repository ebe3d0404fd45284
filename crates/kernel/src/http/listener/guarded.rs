//! The time limits of a connection: a peer must send its first bytes and complete headers in time, read what is sent to it,
//! and send a bounded number of control frames.
//!
//! hyper has none of these. Its `header_read_timeout` begins with the end of the previous request, so it is the timeout of an
//! idle connection; it applies to HTTP/1.1 only, after the protocol was detected; and writes have no timeout. hyper closes a
//! connection with unread input at once, which would reset it.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use metrics::counter;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep_until},
};

use super::{
    frames::{Frames, PREFACE},
    request_body::Bodies,
};

/// A connection that fails when its peer stalls or floods.
pub(super) struct Guarded<T> {
    io: T,
    /// The bodies of its requests, of which small DATA frames may be unread.
    bodies: Arc<Bodies>,
    protocol: Protocol,
    headers_within: Duration,
    stalled_after: Duration,
    /// Runs while the peer does not read.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Set while the readers of small DATA frames are behind.
    pause: Option<Pin<Box<Sleep>>>,
    /// Set when the server has shut down its side of the connection.
    discarding: Option<Box<Discarding>>,
}

/// How long a peer may continue to send a request that was already answered; nginx has the same limit.
const DISCARD_TIME: Duration = Duration::from_secs(30);
/// How much it may send: more than any accepted request.
const DISCARD_BYTES: usize = 256 << 20;

const DISCARD_AT_ONCE: usize = 8 << 10;

struct Discarding {
    until: Pin<Box<Sleep>>,
    left: usize,
}

/// The number of small DATA frames that are not read yet, beyond which no more are received for a while. h2 ends a connection
/// with some two thousand of them (half of its window), and one read receives up to six hundred.
const MAX_UNREAD_SMALL: usize = 256;
/// The pause that the readers of small DATA frames have to catch up. The frames are then received for them: a handler that does
/// not read must not stop other requests.
const PAUSE: Duration = Duration::from_millis(5);

enum Protocol {
    /// The peer has sent the first `matched` bytes of the preface of HTTP/2.
    Unknown {
        matched: usize,
        until: Pin<Box<Sleep>>,
    },
    Http1 {
        /// The arrival of the first byte of the current headers, and the number of requests that had begun before.
        headers: Option<(tokio::time::Instant, usize)>,
        /// Ends when the headers must be complete.
        until: Option<Pin<Box<Sleep>>>,
    },
    Http2(Frames),
}

impl<T> Guarded<T> {
    /// Requires the first bytes, and the headers of each request after their first byte, within `headers_within`, and that
    /// the peer reads at least once in `stalled_after`.
    pub(super) fn new(io: T, bodies: Arc<Bodies>, headers_within: Duration, stalled_after: Duration) -> Self {
        let protocol = Protocol::Unknown { matched: 0, until: Box::pin(tokio::time::sleep(headers_within)) };
        let (stalled, pause, discarding) = (None, None, None);
        Self { io, bodies, protocol, headers_within, stalled_after, stalled, pause, discarding }
    }

    fn inspect_received(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if let Protocol::Unknown { matched, .. } = &mut self.protocol {
            let expected = &PREFACE[*matched..];
            let length = expected.len().min(bytes.len());
            if bytes[..length] != expected[..length] {
                self.protocol = Protocol::Http1 { headers: None, until: None };
            } else if length < expected.len() {
                *matched += length;
            } else {
                self.protocol = Protocol::Http2(Frames::new(Instant::now()));
                bytes = &bytes[length..];
            }
        }
        let frames = match &mut self.protocol {
            Protocol::Unknown { .. } => return Ok(()),
            Protocol::Http1 { headers, until } => {
                // Bytes that arrive while no request is open belong to the headers of the next request.
                let requests = self.bodies.connection.begun();
                let is_first = headers.is_none_or(|(_, before)| before != requests);
                if is_first && self.bodies.connection.idle_since().is_some() {
                    (*headers, *until) = (Some((tokio::time::Instant::now(), requests)), None);
                }
                return Ok(());
            }
            Protocol::Http2(frames) => frames,
        };
        let is_within_balance = frames.read(bytes, Instant::now());
        self.bodies.connection.add_unread_small(frames.take_small());
        if is_within_balance { Ok(()) } else { Err(close_error("flood")) }
    }

    /// Waits for [`PAUSE`] if the readers of small DATA frames are behind.
    fn poll_pause(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.bodies.connection.unread_small() > MAX_UNREAD_SMALL {
            let pause = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(PAUSE)));
            ready!(pause.as_mut().poll(context));
            self.bodies.receive(MAX_UNREAD_SMALL);
            if self.bodies.connection.unread_small() > MAX_UNREAD_SMALL {
                // The frames that are left are those of streams that were reset.
                self.bodies.connection.forget_unread_small();
            }
        }
        self.pause = None;
        Poll::Ready(())
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

    /// Fails if the peer has not sent its first bytes, or the rest of a request's headers, for too long.
    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        match &mut self.protocol {
            Protocol::Unknown { until, .. } => {
                ready!(until.as_mut().poll(context));
                Poll::Ready(close_error("silent"))
            }
            Protocol::Http1 { headers: Some((since, before)), until } if *before == self.bodies.connection.begun() => {
                let until = until.get_or_insert_with(|| Box::pin(sleep_until(*since + self.headers_within)));
                ready!(until.as_mut().poll(context));
                Poll::Ready(close_error("slow_headers"))
            }
            Protocol::Http1 { .. } | Protocol::Http2(_) => Poll::Pending,
        }
    }

    /// Returns whether the peer may still send an answered request: its body was left unread, or hyper rejected its
    /// headers.
    fn has_unread_request(&self) -> bool {
        let begun = self.bodies.connection.begun();
        let is_refused =
            matches!(&self.protocol, Protocol::Http1 { headers: Some((_, before)), .. } if *before == begun);
        is_refused || self.bodies.connection.has_unread_request()
    }

    /// Reads and discards what the peer still sends: closing the connection at once would reset it, and the unread part of
    /// the response would be lost (RFC 9112, 9.6).
    fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<()>
    where
        T: AsyncRead + Unpin,
    {
        let start = || Discarding { until: Box::pin(tokio::time::sleep(DISCARD_TIME)), left: DISCARD_BYTES };
        let discarding = self.discarding.get_or_insert_with(|| Box::new(start()));
        if discarding.until.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        let mut bytes = [std::mem::MaybeUninit::uninit(); DISCARD_AT_ONCE];
        loop {
            let mut buffer = ReadBuf::uninit(&mut bytes);
            let result = ready!(Pin::new(&mut self.io).poll_read(context, &mut buffer));
            let length = buffer.filled().len();
            discarding.left = discarding.left.saturating_sub(length);
            if result.is_err() || length == 0 || discarding.left == 0 {
                return Poll::Ready(());
            }
        }
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
        ready!(self.poll_pause(context));
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
            Poll::Pending => self.poll_late(context).map(Err),
            failed => failed,
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<T> {
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
        if self.discarding.is_none() {
            let result = Pin::new(&mut self.io).poll_shutdown(context);
            ready!(self.progress(context, result))?;
        }
        if self.has_unread_request() {
            ready!(self.poll_discard(context));
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::http::exchange::Connection;

    const LIMIT: Duration = Duration::from_secs(10);

    fn bodies() -> Arc<Bodies> {
        Bodies::new(Connection::new(CancellationToken::new()))
    }

    async fn first_bytes(bytes: &[u8]) -> io::Result<usize> {
        let (mut peer, io) = tokio::io::duplex(1024);
        let mut guarded = Guarded::new(io, bodies(), LIMIT, LIMIT);
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
        first_bytes(PREFACE).await.expect("left to the protocol's own timeouts");
    }

    #[tokio::test(start_paused = true)]
    async fn headers_are_complete_soon_after_their_first_byte_and_requests_may_be_far_apart() {
        for prefix in [&b"G"[..], b"PO", b"GET / HTTP/1.1\r\nhost: a"] {
            assert_eq!(first_bytes(prefix).await.expect_err("in time").to_string(), "slow_headers", "{prefix:?}");
        }
        let (mut peer, io) = tokio::io::duplex(1024);
        let bodies = bodies();
        let connection = bodies.connection.clone();
        let mut guarded = Guarded::new(io, bodies, LIMIT, LIMIT);
        let mut buffer = [0; 1024];
        for _ in 0..3 {
            peer.write_all(b"GET").await.expect("room");
            guarded.read_exact(&mut buffer[..3]).await.expect("the first bytes");
            assert!(
                tokio::time::timeout(LIMIT / 2, guarded.read(&mut buffer)).await.is_err(),
                "the rest is waited for"
            );
            peer.write_all(b" / ").await.expect("room");
            guarded.read_exact(&mut buffer[..3]).await.expect("the rest");
            connection.begin_request();
            let request = connection.enter();
            assert!(tokio::time::timeout(LIMIT * 2, guarded.read(&mut buffer)).await.is_err(), "it runs");
            drop(request);
            assert!(tokio::time::timeout(LIMIT * 2, guarded.read(&mut buffer)).await.is_err(), "nothing has begun");
        }
        peer.write_all(b"GET").await.expect("room");
        guarded.read_exact(&mut buffer[..3]).await.expect("the first bytes");
        let error = guarded.read(&mut buffer).await.expect_err("in time");
        assert_eq!(error.to_string(), "slow_headers");
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_reads() {
        let (mut peer, io) = tokio::io::duplex(4);
        let mut guarded = Guarded::new(io, bodies(), LIMIT, LIMIT);
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
        let error = guarded.write_all(b"12345").await.expect_err("the peer does not read");
        assert_eq!(error.to_string(), "stalled");
    }

    /// A connection that its server has ended while the peer was still sending.
    fn ended() -> (tokio::io::DuplexStream, Guarded<tokio::io::DuplexStream>) {
        let (peer, io) = tokio::io::duplex(1024);
        let bodies = bodies();
        bodies.connection.record_unread_request(true);
        (peer, Guarded::new(io, bodies, LIMIT, LIMIT))
    }

    #[tokio::test(start_paused = true)]
    async fn remaining_bytes_of_a_peer_are_read_for_some_time() {
        let (mut peer, mut guarded) = ended();
        let (shutdown, writing) = tokio::join!(guarded.shutdown(), async move { peer.write_all(&[0; 1 << 20]).await });
        shutdown.expect("once the peer has closed it");
        writing.expect("all of it is read");

        let (mut peer, mut guarded) = ended();
        let since = tokio::time::Instant::now();
        let drip = tokio::spawn(async move {
            while peer.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        guarded.shutdown().await.expect("in time");
        assert_eq!(since.elapsed(), DISCARD_TIME);
        drop(guarded);
        drip.await.expect("no panic");

        let (mut peer, mut guarded) = ended();
        guarded.discarding =
            Some(Box::new(Discarding { until: Box::pin(tokio::time::sleep(DISCARD_TIME)), left: 5000 }));
        let flood = tokio::spawn(async move { while peer.write_all(&[0; 1000]).await.is_ok() {} });
        let since = tokio::time::Instant::now();
        guarded.shutdown().await.expect("not for ever");
        assert_eq!(since.elapsed(), Duration::ZERO, "it sends too much");
        drop(guarded);
        flood.await.expect("no panic");
    }

    #[tokio::test(start_paused = true)]
    async fn small_frames_that_are_not_read_pause_their_connection_for_a_moment() {
        let (mut peer, io) = tokio::io::duplex(1 << 20);
        let mut guarded = Guarded::new(io, bodies(), LIMIT, LIMIT);
        // DATA of one byte.
        let small = [0, 0, 1, 0, 0, 0, 0, 0, 1, b'x'];
        peer.write_all(&[PREFACE, &small.repeat(MAX_UNREAD_SMALL + 1)].concat()).await.expect("room");
        let mut buffer = vec![0; PREFACE.len() + (MAX_UNREAD_SMALL + 1) * small.len()];
        guarded.read_exact(&mut buffer).await.expect("not too many yet");
        let since = tokio::time::Instant::now();
        for _ in 0..2 {
            peer.write_all(&small).await.expect("room");
            guarded.read_exact(&mut buffer[..small.len()]).await.expect("no frame is refused");
            assert_eq!(since.elapsed(), PAUSE, "no body has the others, which are forgotten after one pause");
        }
    }

    #[tokio::test]
    async fn a_flood_of_frames_fails() {
        let (mut peer, io) = tokio::io::duplex(1 << 20);
        let mut guarded = Guarded::new(io, bodies(), LIMIT, LIMIT);
        peer.write_all(PREFACE).await.expect("room");
        let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
        peer.write_all(&ping.repeat(20_000)).await.expect("room");
        let mut all = Vec::new();
        assert_eq!(guarded.read_to_end(&mut all).await.expect_err("too many").to_string(), "flood");
    }
}
