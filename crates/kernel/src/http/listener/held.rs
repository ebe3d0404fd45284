//! A body that the server has: frames are received for a handler that is behind, and joined.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::frames::SMALL;
use crate::http::exchange::Connection;

/// A body that the server has, and what was received of it and not read.
#[derive(Debug)]
pub(super) struct Held {
    body: Incoming,
    received: VecDeque<Result<Frame<Bytes>, hyper::Error>>,
    bytes: usize,
    /// The small frames that were received since the handler has read everything.
    small: usize,
    /// The last received frame was not small.
    is_large: bool,
    /// The task that awaits the next frame.
    reader: Option<Waker>,
}

impl Held {
    /// The most small frames that a handler may leave unread, about as many as h2 allows all streams of a connection.
    const MAX_SMALL: usize = 2048;

    pub(super) fn new(body: Incoming) -> Self {
        Self { body, received: VecDeque::new(), bytes: 0, small: 0, is_large: false, reader: None }
    }

    pub(super) fn into_body(self) -> Incoming {
        self.body
    }

    /// Returns the bytes that were received and not read.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes the task that awaits the next frame.
    pub(super) fn take_reader(&mut self) -> Option<Waker> {
        self.reader.take()
    }

    pub(super) fn poll_frame(
        &mut self,
        connection: &Connection,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Some(frame) = self.received.pop_front() {
            self.bytes -= frame.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len);
            if self.received.is_empty() {
                (self.small, self.is_large) = (0, false);
            }
            return Poll::Ready(Some(frame));
        }
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            self.reader = Some(context.waker().clone());
            return Poll::Pending;
        };
        if let Some(Ok(frame)) = &frame {
            count_read(connection, frame);
        }
        Poll::Ready(frame)
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.received.is_empty() && self.body.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self.body.size_hint().exact() {
            Some(length) => SizeHint::with_exact(length + self.bytes as u64),
            None => SizeHint::default(),
        }
    }

    /// Receives what h2 has, up to a first frame that is not small, or all of it. Small frames are joined. Returns whether the bounds
    /// are kept.
    pub(super) fn receive(&mut self, connection: &Connection, is_all: bool, max_bytes: usize) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        let mut data = BytesMut::new();
        let mut last = None;
        while (is_all || !self.is_large)
            && last.is_none()
            && let Poll::Ready(Some(frame)) = Pin::new(&mut self.body).poll_frame(&mut context)
        {
            if let Ok(frame) = &frame {
                count_read(connection, frame);
            }
            match frame.map(Frame::into_data) {
                Ok(Ok(bytes)) => {
                    self.is_large = bytes.len() >= SMALL;
                    self.small += usize::from(!self.is_large);
                    self.bytes += bytes.len();
                    data.extend_from_slice(&bytes);
                }
                Ok(Err(trailers)) => last = Some(Ok(trailers)),
                Err(error) => last = Some(Err(error)),
            }
        }
        if !data.is_empty() {
            self.received.push_back(Ok(Frame::data(data.freeze())));
        }
        self.received.extend(last);
        self.small <= Self::MAX_SMALL && self.bytes <= max_bytes
    }
}

/// Counts a frame that was read, if it is a small DATA frame.
pub(super) fn count_read(connection: &Connection, frame: &Frame<Bytes>) {
    if frame.data_ref().is_some_and(|data| data.len() < SMALL) {
        connection.subtract_unread_small();
    }
}
