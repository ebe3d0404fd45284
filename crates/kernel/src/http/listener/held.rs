//! A body that the server has: frames are received for a handler that is behind, and joined.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::frames::SMALL;
use crate::http::exchange::Connection;

/// The reader of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    Handler,
    /// The handler, which did not read its many small frames: its next read fails, and the frames are discarded.
    LateHandler,
    /// None: the handler dropped the body before its end.
    Gone,
    /// None: the handler dropped the body, and the client awaits a response before it sends any of it.
    Awaited,
    /// A task that discards the body.
    Discarder,
}

/// A body, and what was received of it and not read. Its small frames count as read when they leave h2, also by a drop.
#[derive(Debug)]
pub(super) struct Held {
    /// `None` once the last frame was received, or the body failed.
    body: Option<Incoming>,
    connection: Arc<Connection>,
    pub(super) reader: Reader,
    received: VecDeque<Result<Frame<Bytes>, hyper::Error>>,
    /// The bytes in `received`.
    pub(super) bytes: usize,
    /// The small frames that were received since the handler has read everything.
    pub(super) small: usize,
    /// The last received frame was not small.
    is_large: bool,
    discarded: u64,
    /// The task that awaits the next frame.
    pub(super) waker: Option<Waker>,
}

impl Held {
    pub(super) fn new(body: Incoming, connection: Arc<Connection>) -> Self {
        let (bytes, small, is_large, discarded) = Default::default();
        let (body, reader, received) = (Some(body), Reader::Handler, VecDeque::new());
        Self { body, connection, reader, received, bytes, small, is_large, discarded, waker: None }
    }

    /// Takes the body from the handler. Discards what was received, and what will be.
    pub(super) fn discard(&mut self, reader: Reader) {
        self.received.clear();
        (self.bytes, self.small, self.reader) = (0, 0, reader);
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(context));
        match frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref) {
            Some(data) => {
                if data.len() < SMALL {
                    self.connection.subtract_unread_small();
                }
                if self.reader != Reader::Handler {
                    self.discarded += data.len() as u64;
                }
            }
            // A failed body would fail again at each call.
            None => self.body = None,
        }
        Poll::Ready(frame)
    }

    pub(super) fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Some(frame) = self.received.pop_front() {
            self.bytes -= frame.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len);
            if self.received.is_empty() {
                (self.small, self.is_large) = (0, false);
            }
            return Poll::Ready(Some(frame));
        }
        let frame = self.poll_next(context);
        if frame.is_pending() {
            self.waker = Some(context.waker().clone());
        }
        frame
    }

    /// Reads a discarded body of at most `max_bytes`. Returns whether it ended.
    pub(super) fn poll_discard(&mut self, max_bytes: u64, context: &mut Context<'_>) -> Poll<bool> {
        while !self.is_end_stream() {
            // A body of a known length is counted at once.
            let rest = self.body.as_ref().map_or(0, |body| body.size_hint().lower());
            if self.discarded + rest > max_bytes {
                return Poll::Ready(false);
            }
            if let Some(Err(_)) = ready!(self.poll_frame(context)) {
                return Poll::Ready(false);
            }
        }
        Poll::Ready(true)
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.received.is_empty() && self.body.as_ref().is_none_or(|body| body.is_end_stream())
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self.body.as_ref().map_or(Some(0), |body| body.size_hint().exact()) {
            Some(length) => SizeHint::with_exact(length + self.bytes as u64),
            None => SizeHint::default(),
        }
    }

    /// Receives what h2 has, up to a first frame that is not small, or all of it, until `room` bytes were received: the rest
    /// waits in the window. Small frames are joined. All frames of a discarded body are received. Returns the bytes that are
    /// held in addition.
    pub(super) fn receive(&mut self, is_all: bool, room: usize) -> usize {
        let mut context = Context::from_waker(Waker::noop());
        let mut data = BytesMut::new();
        let mut last = None;
        let is_discarded = self.reader != Reader::Handler;
        while (is_discarded || (is_all || !self.is_large) && data.len() < room)
            && let Poll::Ready(Some(frame)) = self.poll_next(&mut context)
        {
            if is_discarded {
                continue;
            }
            match frame.map(Frame::into_data) {
                Ok(Ok(bytes)) => {
                    self.is_large = bytes.len() >= SMALL;
                    self.small += usize::from(!self.is_large);
                    data.extend_from_slice(&bytes);
                }
                Ok(Err(trailers)) => last = Some(Ok(trailers)),
                Err(error) => last = Some(Err(error)),
            }
        }
        let length = data.len();
        if length > 0 {
            self.bytes += length;
            self.received.push_back(Ok(Frame::data(data.freeze())));
        }
        self.received.extend(last);
        length
    }
}

impl Drop for Held {
    /// h2 forgets the frames of a body that is dropped, such as that of a reset stream. Over HTTP/1.1, where none are counted,
    /// the next poll would request the body.
    fn drop(&mut self) {
        if self.connection.unread_small() > 0 {
            self.reader = Reader::Gone;
            self.receive(true, 0);
        }
    }
}
