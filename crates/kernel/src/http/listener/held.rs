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

/// A body, and what was received of it and not read. Its small frames count as read when they leave h2, also by a drop.
#[derive(Debug)]
pub(super) struct Held {
    body: Incoming,
    connection: Arc<Connection>,
    received: VecDeque<Result<Frame<Bytes>, hyper::Error>>,
    bytes: usize,
    /// The small frames that were received since the handler has read everything.
    small: usize,
    /// The last received frame was not small.
    is_large: bool,
    /// The last frame was received, or the body failed.
    has_ended: bool,
    /// The discarded bytes, if the server does not read the body any more.
    discarded: Option<u64>,
    /// The task that awaits the next frame.
    reader: Option<Waker>,
}

impl Held {
    pub(super) fn new(body: Incoming, connection: Arc<Connection>) -> Self {
        Self {
            body,
            connection,
            received: VecDeque::new(),
            bytes: 0,
            small: 0,
            is_large: false,
            has_ended: false,
            discarded: None,
            reader: None,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn small(&self) -> usize {
        self.small
    }

    pub(super) fn take_reader(&mut self) -> Option<Waker> {
        self.reader.take()
    }

    /// Discards what was received, and what will be.
    pub(super) fn discard(mut self) -> Self {
        self.received.clear();
        (self.bytes, self.small, self.discarded) = (0, 0, Some(0));
        self
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref) {
            Some(data) => {
                if data.len() < SMALL {
                    self.connection.subtract_unread_small();
                }
                if let Some(discarded) = &mut self.discarded {
                    *discarded += data.len() as u64;
                }
            }
            // A failed body would fail again at each call.
            None => self.has_ended = true,
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
            self.reader = Some(context.waker().clone());
        }
        frame
    }

    /// Reads a discarded body of at most `max_bytes`. Returns whether it ended.
    pub(super) fn poll_discard(&mut self, max_bytes: u64, context: &mut Context<'_>) -> Poll<bool> {
        while !self.has_ended && !self.body.is_end_stream() {
            // A body of a known length is counted at once.
            if self.discarded.unwrap_or_default() + self.body.size_hint().lower() > max_bytes {
                return Poll::Ready(false);
            }
            if let Some(Err(_)) = ready!(self.poll_frame(context)) {
                return Poll::Ready(false);
            }
        }
        Poll::Ready(true)
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.received.is_empty() && (self.has_ended || self.body.is_end_stream())
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self.body.size_hint().exact() {
            Some(length) => SizeHint::with_exact(length + self.bytes as u64),
            None => SizeHint::default(),
        }
    }

    /// Receives what h2 has, up to a first frame that is not small, or all of it, until `room` bytes were received: the rest
    /// waits in the window. Small frames are joined. Returns the bytes that are held in addition.
    pub(super) fn receive(&mut self, is_all: bool, room: usize) -> usize {
        let mut context = Context::from_waker(Waker::noop());
        let mut data = BytesMut::new();
        let mut last = None;
        while (is_all || !self.is_large || self.discarded.is_some())
            && data.len() < room
            && let Poll::Ready(Some(frame)) = self.poll_next(&mut context)
        {
            if self.discarded.is_some() {
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
            self.discarded = Some(0);
            self.receive(true, usize::MAX);
        }
    }
}
