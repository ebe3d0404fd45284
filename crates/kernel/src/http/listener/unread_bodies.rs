//! The bodies of an HTTP/2 connection whose handlers do not read them.
//!
//! h2 counts the small DATA frames of a connection that are not read yet, and ends the connection with some two thousand of
//! them. One stream could thus end the requests of all clients that share the connection through a proxy. The frames of handlers
//! that are behind are therefore received for them, and a handler that stays behind loses its body.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use parking_lot::Mutex;

use super::{
    frames::SMALL,
    request_body::{Rest, count_read},
};
use crate::http::exchange::Connection;

/// The most bytes that are held for all handlers of a connection, twice the window of the connection.
const MAX_HELD_BYTES: usize = 2 << 20;

/// The bodies of a connection that have not ended. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct UnreadBodies(Arc<Mutex<Vec<Weak<Rest>>>>);

impl UnreadBodies {
    /// Adds a body.
    pub(super) fn add(&self, body: &Arc<Rest>) {
        let mut bodies = self.0.lock();
        if bodies.len() == bodies.capacity() {
            bodies.retain(|body| body.strong_count() > 0);
        }
        bodies.push(Arc::downgrade(body));
    }

    /// Receives small frames for their handlers, until no more than `max_unread` of the connection are unread. Large frames,
    /// which bound their senders by the window, are only received if small ones may follow them.
    pub(super) fn receive(&self, connection: &Connection, max_unread: usize) {
        let bodies: Vec<_> = {
            let mut bodies = self.0.lock();
            bodies.retain(|body| body.strong_count() > 0);
            bodies.iter().filter_map(Weak::upgrade).collect()
        };
        for is_all in [false, true] {
            if connection.unread_small() > max_unread {
                bodies.iter().fold(MAX_HELD_BYTES, |room, body| room.saturating_sub(body.receive(is_all, room)));
            }
        }
    }
}

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
