//! The body of a response, which counts until its last byte was written.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::sync::oneshot;
use tonic::Status;

use super::unread::UnreadGuard;
use crate::http::middleware::layer::Body;

/// The size of a piece. After the last piece was passed on, at most this much is still to be written.
const PIECE: usize = 16 << 10;
/// The number of frames of a response that are read before the task yields. A compressor produces frames of 4 KiB, each in
/// up to a millisecond; a response without compression has one or two.
const FRAMES_PER_TURN: usize = 4;

/// The rest of a response: what has been read of its body, and the body unless it has ended.
#[derive(Default)]
pub(super) struct BufferedBody {
    ready: VecDeque<Bytes>,
    end: Option<Result<Frame<Bytes>, Status>>,
    body: Option<Body>,
    /// The approximate memory of `body`.
    body_bytes: usize,
}

impl BufferedBody {
    /// A response that is produced while it is read, about `body_bytes` at a time.
    pub(super) fn stream(body: Body, body_bytes: usize) -> Self {
        Self { body: Some(body).filter(|body| !body.is_end_stream()), body_bytes, ..Self::default() }
    }

    /// Reads the body as far as it is ready: to its end if it has one message.
    pub(super) async fn complete(body: Body) -> Self {
        let mut buffered = Self::stream(body, 0);
        let mut frames = 0;
        while let Some(body) = &mut buffered.body {
            // A large response is compressed here.
            let Some(frame) = body.frame().now_or_never() else { break };
            buffered.push(frame);
            frames += 1;
            if frames == FRAMES_PER_TURN {
                frames = 0;
                tokio::task::yield_now().await;
            }
        }
        buffered
    }

    pub(super) fn bytes(&self) -> usize {
        let of_body = if self.body.is_some() { self.body_bytes } else { 0 };
        self.ready.iter().map(Bytes::len).sum::<usize>() + of_body
    }

    fn push(&mut self, frame: Option<Result<Frame<Bytes>, Status>>) {
        match frame.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(data))) => self.ready.extend(Some(data).filter(|data| !data.is_empty())),
            Some(Ok(Err(trailers))) => (self.end, self.body) = (Some(Ok(trailers)), None),
            Some(Err(status)) => (self.end, self.body) = (Some(Err(status)), None),
            None => self.body = None,
        }
        if self.body.as_ref().is_some_and(HttpBody::is_end_stream) {
            self.body = None;
        }
    }

    fn is_end(&self) -> bool {
        self.ready.is_empty() && self.end.is_none() && self.body.is_none()
    }
}

/// The body of a response on its way to the client, which `guard` counts until it was written.
pub(super) struct CountedBody {
    buffered: BufferedBody,
    guard: Arc<UnreadGuard>,
    holds_end: bool,
    /// Ends once the last piece was written; `None` if the body need not wait for it.
    last: Option<oneshot::Receiver<Infallible>>,
}

impl CountedBody {
    /// With `holds_end`, the body ends once its last piece was written. Its HTTP/2 stream can be reset until then: hyper ends
    /// the task of a stream whose body has ended, and what h2 still has of it can only be dropped with the connection.
    pub(super) fn new(buffered: BufferedBody, guard: Arc<UnreadGuard>, holds_end: bool) -> Self {
        Self { buffered, guard, holds_end, last: None }
    }

    /// Returns the next piece. The last piece holds the response until it was written.
    fn piece(&mut self) -> Option<Bytes> {
        let first = self.buffered.ready.front_mut()?;
        let piece = first.split_to(PIECE.min(first.len()));
        if first.is_empty() {
            self.buffered.ready.pop_front();
        }
        if !self.buffered.ready.is_empty() {
            return Some(piece);
        }
        let (written, last) = self.holds_end.then(oneshot::channel).unzip();
        self.last = last;
        Some(Bytes::from_owner(LastPiece { bytes: piece, _written: written, _guard: self.guard.clone() }))
    }
}

/// The last piece, which is dropped when it was written.
struct LastPiece {
    bytes: Bytes,
    _written: Option<oneshot::Sender<Infallible>>,
    _guard: Arc<UnreadGuard>,
}

impl AsRef<[u8]> for LastPiece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            if let Some(piece) = self.piece() {
                crate::fault::point("response.piece")?;
                self.guard.record_piece();
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            if self.buffered.body.is_none()
                && let Some(last) = &mut self.last
            {
                ready!(last.poll_unpin(context)).ok();
                self.last = None;
            }
            let Some(body) = &mut self.buffered.body else { return Poll::Ready(self.buffered.end.take()) };
            match Pin::new(body).poll_frame(context) {
                Poll::Ready(frame) => self.buffered.push(frame),
                Poll::Pending => {
                    self.guard.record_all_read();
                    return Poll::Pending;
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.buffered.is_end() && self.last.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.buffered {
            BufferedBody { ref ready, end: None, body: None, .. } => {
                SizeHint::with_exact(ready.iter().map(|data| data.len() as u64).sum())
            }
            _ => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::stream;
    use http_body_util::StreamBody;

    use super::*;

    /// How often another task goes on while a response of so many frames is read, all of which are ready.
    async fn others_during(frames: usize) -> usize {
        let others = Arc::new(AtomicUsize::new(0));
        let counter = others.clone();
        let other = tokio::spawn(async move {
            loop {
                counter.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        let frame = |_| Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[0; 4096])));
        let body = Body::new(StreamBody::new(stream::iter((0..frames).map(frame))));
        assert_eq!(BufferedBody::complete(body).await.bytes(), frames * 4096);
        other.abort();
        others.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn others_go_on_while_a_large_response_is_compressed_and_a_small_one_is_not_held_up() {
        assert!(others_during(40).await >= 5);
        assert_eq!(others_during(2).await, 0);
    }
}
