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
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tower::BoxError;

use super::held::{Held, count_read};
use crate::{
    error::{Error, Reason},
    http::{
        exchange::Connection,
        middleware::layer::{Body, Response},
    },
};

/// The largest unread part that is read so that the connection can be reused.
const MAX_REST_BYTES: usize = 64 << 10;
/// The timeout of reading it.
const REST_TIMEOUT: Duration = Duration::from_millis(250);

/// The most bytes, and the longest time, for which the unread part of an HTTP/2 request is discarded; its stream is reset
/// afterwards. The time is that of nginx's `lingering_time`.
const MAX_DISCARDED_BYTES: usize = 64 << 20;
const DISCARD_TIMEOUT: Duration = Duration::from_secs(30);
/// The most HTTP/2 streams of one connection whose unread parts are discarded at the same time.
const MAX_DISCARDING: usize = 8;

/// The HTTP/2 streams of one connection whose unread parts are being discarded, in the order in which they began.
pub(super) type Discarding = Arc<Mutex<VecDeque<AbortHandle>>>;

/// The state of the body of a request.
#[derive(Debug)]
enum State {
    /// The server still has it.
    Held(Held),
    /// It was dropped before its end.
    Left(Incoming),
    /// It was dropped, and the client awaits a response before it sends any of it.
    Awaited,
    /// The server did not read its many small frames, so that they are discarded: until the server drops it, and a little longer.
    Overflowed(CancellationToken),
    /// It was received to its end, or failed.
    Done,
}

/// The body as the server reads it. The unread part is left to [`Rest`].
struct TrackedBody {
    /// The client waits before it sends the body. Reading would request it.
    is_awaited: bool,
    rest: Arc<Rest>,
}

/// The part of a request's body that its response left unread.
#[derive(Debug)]
pub(super) struct Rest {
    connection: Arc<Connection>,
    state: Mutex<State>,
}

impl Rest {
    /// Splits a body that has not ended.
    pub(super) fn track(body: Incoming, headers: &HeaderMap, connection: Arc<Connection>) -> (Body, Arc<Self>) {
        let state = Mutex::new(State::Held(Held::new(body)));
        let rest = Arc::new(Self { connection, state });
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
        let mut body = {
            let mut state = self.state.lock();
            // A body that the server still has may still be read. Its drop notes an unread part.
            match &*state {
                State::Left(_) | State::Awaited => {}
                State::Held(_) | State::Overflowed(_) | State::Done => return None,
            }
            match std::mem::replace(&mut *state, State::Done) {
                State::Left(body) => body,
                _ => return Some(false),
            }
        };
        let rest = read_to_end(&mut body, MAX_REST_BYTES, &self.connection);
        let is_read = tokio::time::timeout(REST_TIMEOUT, rest).await == Ok(true);
        if !is_read {
            *self.state.lock() = State::Left(body);
        }
        Some(is_read)
    }

    /// Receives what the server has not read, up to a first frame that is not small, or all of it. Returns the bytes that are
    /// held then. The server loses a body of which more than [`Held::MAX_SMALL`] frames or `max_bytes` would be held.
    pub(super) fn receive(&self, is_all: bool, max_bytes: usize) -> usize {
        let mut state = self.state.lock();
        match &mut *state {
            State::Held(held) => {
                let is_within = held.receive(&self.connection, is_all, max_bytes);
                let (bytes, reader) = (held.bytes(), held.take_reader());
                if !is_within {
                    self.overflow(&mut state);
                }
                drop(state);
                // Its own registration was replaced.
                if let Some(reader) = reader {
                    reader.wake();
                }
                if is_within { bytes } else { 0 }
            }
            State::Left(body) => {
                let mut context = Context::from_waker(std::task::Waker::noop());
                while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut *body).poll_frame(&mut context) {
                    count_read(&self.connection, &frame);
                }
                0
            }
            State::Awaited | State::Overflowed(_) | State::Done => 0,
        }
    }

    /// Discards the body from now on. A reset instead would leave the frames that are on their way to h2, which ends the connection for
    /// them.
    fn overflow(&self, state: &mut State) {
        let dropped = CancellationToken::new();
        let held = std::mem::replace(state, State::Overflowed(dropped.clone()));
        let (State::Held(held), connection) = (held, self.connection.clone()) else { return };
        tokio::spawn(async move {
            let mut body = held.into_body();
            tokio::select! {
                _ = read_to_end(&mut body, usize::MAX, &connection) => {}
                () = async { dropped.cancelled().await; tokio::time::sleep(DISCARD_TIMEOUT).await } => {}
            }
        });
    }

    /// Discards the unread part of a body of HTTP/2 while the client receives the response. If [`MAX_DISCARDING`] do so
    /// already, the first of them ends: a proxy shares the connection among clients, and slow ones must not take all places.
    pub(super) fn discard(&self, discarding: &Discarding) {
        let mut body = {
            let mut state = self.state.lock();
            if !matches!(*state, State::Left(_)) {
                return;
            }
            let State::Left(body) = std::mem::replace(&mut *state, State::Done) else { return };
            body
        };
        let connection = self.connection.clone();
        let task = tokio::spawn(async move {
            let rest = read_to_end(&mut body, MAX_DISCARDED_BYTES, &connection);
            tokio::time::timeout(DISCARD_TIMEOUT, rest).await.ok();
        });
        let mut tasks = discarding.lock();
        tasks.retain(|task| !task.is_finished());
        tasks.push_back(task.abort_handle());
        if tasks.len() > MAX_DISCARDING
            && let Some(first) = tasks.pop_front()
        {
            first.abort();
        }
    }
}

/// Reads a body of at most `max_bytes`. Returns whether it ended.
async fn read_to_end(body: &mut Incoming, max_bytes: usize, connection: &Connection) -> bool {
    let mut bytes = body.size_hint().lower();
    while bytes <= max_bytes as u64 {
        let frame = body.frame().await;
        if let Some(Ok(frame)) = &frame {
            count_read(connection, frame);
        }
        match frame {
            None => return true,
            Some(Err(_)) => return false,
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                // A body of a known length was counted at once.
                bytes += if body.size_hint().exact().is_some() { 0 } else { length };
            }
        }
        if body.is_end_stream() {
            return true;
        }
    }
    false
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
            State::Overflowed(_) => {
                return Poll::Ready(Some(Err(Status::from(Error::new(Reason::Overloaded)).into())));
            }
            State::Left(_) | State::Awaited | State::Done => return Poll::Ready(None),
        };
        let frame = std::task::ready!(held.poll_frame(&self.rest.connection, context));
        if !matches!(frame, Some(Ok(_))) || held.is_end_stream() {
            *state = State::Done;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        match &*self.rest.state.lock() {
            State::Held(held) => held.is_end_stream(),
            State::Overflowed(_) => false,
            State::Left(_) | State::Awaited | State::Done => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &*self.rest.state.lock() {
            State::Held(held) => held.size_hint(),
            State::Overflowed(_) => SizeHint::default(),
            State::Left(_) | State::Awaited | State::Done => SizeHint::with_exact(0),
        }
    }
}

impl Drop for TrackedBody {
    fn drop(&mut self) {
        let mut state = self.rest.state.lock();
        *state = match std::mem::replace(&mut *state, State::Done) {
            State::Held(held) => {
                self.rest.connection.record_unread_request(true);
                if self.is_awaited { State::Awaited } else { State::Left(held.into_body()) }
            }
            State::Overflowed(dropped) => {
                dropped.cancel();
                State::Done
            }
            other => other,
        };
    }
}
