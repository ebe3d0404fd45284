//! The body of a request, of which a response may leave a part unread.
//!
//! Over HTTP/1.1, the unread part precedes the next request, so the connection must end: the response has `Connection: close`, and the
//! connection lingers (RFC 9112, 9.6). A client that still sends would otherwise lose the response to a reset. A small part
//! is read instead, because most requests are rejected for their headers, and a new connection costs more.
//!
//! Over HTTP/2, a body that is dropped resets its stream at the end of the response (RFC 9113, 8.1). Some clients, such as
//! curl before version 8, then lose the response. The unread part is therefore read and discarded, within bounds.

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

use super::frames::SMALL;
use crate::http::{
    exchange::Connection,
    middleware::layer::{Body, Response},
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
    Held,
    /// It was dropped before its end.
    Left(Incoming),
    /// It was dropped, and the client awaits a response before it sends any of it.
    Awaited,
    /// It was received to its end, or failed.
    Done,
}

/// The body as the server reads it. The unread part is left to [`Rest`].
struct TrackedBody {
    /// `None` once it has ended.
    inner: Option<Incoming>,
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
        let rest = Arc::new(Self { connection, state: Mutex::new(State::Held) });
        let is_awaited = headers.contains_key(header::EXPECT);
        (Body::new(TrackedBody { inner: Some(body), is_awaited, rest: rest.clone() }), rest)
    }

    /// Reads a small unread part. Announces otherwise that the connection ends with this response.
    pub(super) async fn settle(&self, response: &mut Response) {
        // A body that the server still has may still be read. Its drop notes an unread part.
        let state = std::mem::replace(&mut *self.state.lock(), State::Done);
        let is_read = match state {
            State::Left(body) => {
                let rest = read_to_end(body, MAX_REST_BYTES, &self.connection);
                tokio::time::timeout(REST_TIMEOUT, rest).await == Ok(true)
            }
            State::Awaited => false,
            State::Held | State::Done => return,
        };
        self.connection.record_unread_request(!is_read);
        if !is_read {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }

    /// Discards the unread part of a body of HTTP/2 while the client receives the response. If [`MAX_DISCARDING`] do so
    /// already, the first of them ends: a proxy shares the connection among clients, and slow ones must not take all places.
    pub(super) fn discard(&self, discarding: &Discarding) {
        let State::Left(body) = std::mem::replace(&mut *self.state.lock(), State::Done) else { return };
        let connection = self.connection.clone();
        let task = tokio::spawn(async move {
            let rest = read_to_end(body, MAX_DISCARDED_BYTES, &connection);
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
async fn read_to_end(mut body: Incoming, max_bytes: usize, connection: &Connection) -> bool {
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

/// Counts a frame that was read, if it is a small DATA frame.
pub(super) fn count_read(connection: &Connection, frame: &Frame<Bytes>) {
    if frame.data_ref().is_some_and(|data| data.len() < SMALL) {
        connection.subtract_unread_small();
    }
}

impl HttpBody for TrackedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        this.is_awaited = false;
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        let frame = std::task::ready!(Pin::new(&mut *inner).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            count_read(&this.rest.connection, frame);
        }
        if !matches!(frame, Some(Ok(_))) || inner.is_end_stream() {
            this.inner = None;
            *this.rest.state.lock() = State::Done;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or(SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for TrackedBody {
    fn drop(&mut self) {
        let Some(body) = self.inner.take() else { return };
        self.rest.connection.record_unread_request(true);
        *self.rest.state.lock() = if self.is_awaited { State::Awaited } else { State::Left(body) };
    }
}
