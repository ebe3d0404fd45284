//! The body of a request, of which a response may leave a part unread.
//!
//! Over HTTP/1.1, the unread part precedes the next request, so the connection must end: the response has `Connection: close`, and the
//! connection lingers (RFC 9112, 9.6). A client that still sends would otherwise lose the response to a reset. A small part
//! is read instead, because most requests are rejected for their headers, and a new connection costs more.
//!
//! Over HTTP/2, a body that is dropped resets its stream at the end of the response (RFC 9113, 8.1). Some clients, such as
//! curl before version 8, then lose the response. The unread part is therefore read and discarded, within bounds. HAProxy resets
//! a gRPC stream whose response ends before its request, so a small part is read before the response.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::task::AbortHandle;
use tonic::Status;
use tower::BoxError;

use super::held::Held;
use crate::{
    error::{Error, Reason},
    http::{
        exchange::Connection,
        middleware::layer::{Body, Response},
    },
};

/// The largest unread part that is read so that the connection can be reused.
const MAX_REST_BYTES: u64 = 64 << 10;
/// The timeout of reading it.
const REST_TIMEOUT: Duration = Duration::from_millis(250);

/// The most bytes, and the longest time, for which the unread part of an HTTP/2 request is discarded; its stream is reset
/// afterwards. The time is that of nginx's `lingering_time`.
const MAX_DISCARDED_BYTES: u64 = 64 << 20;
const DISCARD_TIMEOUT: Duration = Duration::from_secs(30);
/// The most HTTP/2 streams of one connection whose unread parts are discarded at the same time.
const MAX_DISCARDING: usize = 8;

/// The HTTP/2 streams of one connection whose unread parts are being discarded, in the order in which they began.
pub(super) type Discarding = Arc<Mutex<VecDeque<AbortHandle>>>;

#[derive(Debug)]
enum State {
    /// The server still has it.
    Held(Held),
    /// The server still has it, and did not read its many small frames, so that it fails and they are discarded.
    Lost(Held),
    /// It was dropped before its end.
    Left(Held),
    /// It was dropped, and is read by a task.
    Discarding(Held),
    /// It was dropped, and the client awaits a response before it sends any of it.
    Awaited,
    /// It was received to its end, or failed.
    Done,
}

/// The body as the server reads it. The unread part is left to [`Rest`].
struct TrackedBody {
    is_awaited: bool,
    rest: Arc<Rest>,
}

/// The part of a request's body that its response left unread.
#[derive(Debug)]
pub(super) struct Rest {
    connection: Arc<Connection>,
    discarding: Discarding,
    state: Mutex<State>,
}

impl Rest {
    pub(super) fn track(
        body: Incoming,
        headers: &HeaderMap,
        connection: Arc<Connection>,
        discarding: Discarding,
    ) -> (Body, Arc<Self>) {
        let state = Mutex::new(State::Held(Held::new(body, connection.clone())));
        let rest = Arc::new(Self { connection, discarding, state });
        let is_awaited = headers.contains_key(header::EXPECT);
        (Body::new(TrackedBody { is_awaited, rest: rest.clone() }), rest)
    }

    /// Reads a small unread part of a body of HTTP/1.1. Announces otherwise that the connection ends with this response.
    pub(super) async fn settle(&self, response: &mut Response) {
        let Some(is_read) = self.read_small().await else { return };
        self.connection.record_unread_request(!is_read);
        if !is_read {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }

    /// Reads a small unread part. Returns whether all of it was read; `None` if there is none.
    pub(super) async fn read_small(&self) -> Option<bool> {
        // A body that the server still has may still be read. Its drop notes an unread part.
        let is_unread = matches!(*self.state.lock(), State::Left(_) | State::Awaited);
        if !is_unread {
            return None;
        }
        Some(tokio::time::timeout(REST_TIMEOUT, self.read_rest(MAX_REST_BYTES)).await == Ok(true))
    }

    /// Reads an unread part of at most `max_bytes`. Returns whether it ended. The body stays here, where
    /// [`UnreadBodies`](super::unread_bodies::UnreadBodies) finds it if this task is late.
    async fn read_rest(&self, max_bytes: u64) -> bool {
        let poll = |context: &mut Context<'_>| {
            let mut state = self.state.lock();
            let (State::Left(body) | State::Discarding(body)) = &mut *state else { return Poll::Ready(false) };
            let has_ended = ready!(body.poll_discard(max_bytes, context));
            if has_ended {
                *state = State::Done;
            }
            Poll::Ready(has_ended)
        };
        std::future::poll_fn(poll).await
    }

    /// Returns the bytes and the number of small frames that are held for the server.
    pub(super) fn held(&self) -> (usize, usize) {
        match &*self.state.lock() {
            State::Held(held) => (held.bytes(), held.small()),
            _ => (0, 0),
        }
    }

    /// Receives what the server has not read, up to a first frame that is not small, or all of it, and at most `room` bytes.
    /// Returns the bytes that are held in addition.
    pub(super) fn receive(&self, is_all: bool, room: usize) -> usize {
        let mut state = self.state.lock();
        let (received, reader) = match &mut *state {
            State::Held(body) => (body.receive(is_all, room), body.take_reader()),
            State::Lost(body) | State::Left(body) | State::Discarding(body) => {
                (body.receive(true, usize::MAX), body.take_reader())
            }
            State::Awaited | State::Done => return 0,
        };
        drop(state);
        // Its own registration was replaced.
        if let Some(reader) = reader {
            reader.wake();
        }
        received
    }

    /// Fails the body for the server, and discards it from now on. A reset instead would leave the frames that are on their way to h2,
    /// which ends the connection for them. Returns the bytes that were held.
    pub(super) fn lose(&self) -> usize {
        let mut state = self.state.lock();
        let (bytes, reader) = match &mut *state {
            State::Held(held) => (held.bytes(), held.take_reader()),
            _ => (0, None),
        };
        *state = match std::mem::replace(&mut *state, State::Done) {
            State::Held(body) => State::Lost(body.discard()),
            other => other,
        };
        drop(state);
        // No further frame may arrive that would wake the server.
        if let Some(reader) = reader {
            reader.wake();
        }
        bytes
    }

    /// Discards the unread part of a body of HTTP/2 while the client receives the response. If [`MAX_DISCARDING`] do so
    /// already, the first of them ends: slow clients of a proxy that shares the connection must not take all places.
    pub(super) fn discard(self: &Arc<Self>) {
        let mut state = self.state.lock();
        // A runtime that ends has no tasks.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        *state = match std::mem::replace(&mut *state, State::Done) {
            State::Left(body) => State::Discarding(body),
            other => {
                *state = other;
                return;
            }
        };
        drop(state);
        let rest = self.clone();
        let task = runtime.spawn(async move {
            tokio::time::timeout(DISCARD_TIMEOUT, rest.read_rest(MAX_DISCARDED_BYTES)).await.ok();
        });
        let mut tasks = self.discarding.lock();
        tasks.retain(|task| !task.is_finished());
        tasks.push_back(task.abort_handle());
        if tasks.len() > MAX_DISCARDING
            && let Some(first) = tasks.pop_front()
        {
            first.abort();
        }
    }
}

impl HttpBody for TrackedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.is_awaited = false;
        let mut state = self.rest.state.lock();
        let held = match &mut *state {
            State::Held(held) => held,
            State::Lost(_) => {
                return Poll::Ready(Some(Err(Status::from(Error::new(Reason::Overloaded)).into())));
            }
            State::Left(_) | State::Discarding(_) | State::Awaited | State::Done => return Poll::Ready(None),
        };
        let frame = ready!(held.poll_frame(context));
        if !matches!(frame, Some(Ok(_))) || held.is_end_stream() {
            *state = State::Done;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        match &*self.rest.state.lock() {
            State::Held(held) => held.is_end_stream(),
            State::Lost(_) => false,
            State::Left(_) | State::Discarding(_) | State::Awaited | State::Done => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &*self.rest.state.lock() {
            State::Held(held) => held.size_hint(),
            State::Lost(_) => SizeHint::default(),
            State::Left(_) | State::Discarding(_) | State::Awaited | State::Done => SizeHint::with_exact(0),
        }
    }
}

impl Drop for TrackedBody {
    fn drop(&mut self) {
        let mut state = self.rest.state.lock();
        let is_lost = matches!(*state, State::Lost(_));
        *state = match std::mem::replace(&mut *state, State::Done) {
            State::Held(body) => {
                self.rest.connection.record_unread_request(true);
                if self.is_awaited { State::Awaited } else { State::Left(body.discard()) }
            }
            State::Lost(body) => State::Left(body),
            other => other,
        };
        drop(state);
        if is_lost {
            // The response may have ended before.
            self.rest.discard();
        }
    }
}
