//! The body of a request, of which a response may leave a part unread.
//!
//! Over HTTP/1.1, the unread part precedes the next request, so the connection must end: the response has `Connection: close`, and the
//! connection lingers (RFC 9112, 9.6). A client that still sends would otherwise lose the response to a reset. A small part
//! is read instead, because most requests are rejected for their headers, and a new connection costs more.
//!
//! Over HTTP/2, a body that is dropped resets its stream at the end of the response (RFC 9113, 8.1). Some clients, such as
//! curl before version 8, then lose the response. The unread part is therefore read and discarded, within bounds. HAProxy resets
//! a gRPC stream whose response ends before its request, so a small part is read before the response.
//!
//! h2 counts the small DATA frames of a connection that are not read yet, and ends the connection with some two thousand of
//! them. One stream could thus end the requests of all clients that share the connection through a proxy. The frames of handlers
//! that are behind are therefore received for them, and once no more bytes can be held, the handler with the most of them loses
//! its body.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use parking_lot::{Mutex, MutexGuard};
use tokio::task::AbortHandle;
use tonic::Status;
use tower::BoxError;

use super::held::{Held, Reader};
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

/// The most bytes that are held for all handlers of a connection, as many as its window has. A last frame may exceed them.
const MAX_HELD_BYTES: usize = 1 << 20;
/// The small frames with which a handler may be behind, even if no more bytes can be held. While there is room, a handler may be
/// behind with any number: a busy machine may run it late.
const MAX_SMALL_WITHOUT_ROOM: usize = 64;

/// The bodies of the requests of a connection.
#[derive(Debug)]
pub(super) struct Bodies {
    pub(super) connection: Arc<Connection>,
    /// Those that have not ended.
    open: Mutex<Vec<Weak<Rest>>>,
    /// The tasks that discard the unread parts of HTTP/2 streams, in the order in which they began.
    discarding: Mutex<VecDeque<AbortHandle>>,
}

impl Bodies {
    pub(super) fn new(connection: Arc<Connection>) -> Arc<Self> {
        Arc::new(Self { connection, open: Mutex::default(), discarding: Mutex::default() })
    }

    /// Returns the body of a request as its handler reads it, and its unread part.
    pub(super) fn track(self: &Arc<Self>, body: Incoming, headers: &HeaderMap) -> (Body, Arc<Rest>) {
        let body = Mutex::new(Held::new(body, self.connection.clone()));
        let rest = Arc::new(Rest { of: self.clone(), body });
        let is_awaited = headers.contains_key(header::EXPECT);
        let mut open = self.open.lock();
        if open.len() == open.capacity() {
            open.retain(|body| body.strong_count() > 0);
        }
        open.push(Arc::downgrade(&rest));
        drop(open);
        (Body::new(TrackedBody { is_awaited, rest: rest.clone() }), rest)
    }

    /// Receives small frames for their handlers, until no more than `max_unread` of the connection are unread. Large frames,
    /// which bound their senders by the window, are only received if small ones may follow them. No body is lost for them: only
    /// one with many small frames is.
    pub(super) fn receive(&self, max_unread: usize) {
        let open: Vec<_> = self.open.lock().iter().filter_map(Weak::upgrade).collect();
        let held: usize = open.iter().map(|body| body.held().0).sum();
        let mut room = MAX_HELD_BYTES.saturating_sub(held);
        loop {
            for is_all in [false, true] {
                for body in &open {
                    if self.connection.unread_small() <= max_unread {
                        return;
                    }
                    room = room.saturating_sub(body.receive(is_all, room));
                }
            }
            // There is room again, or nothing that could be received is left.
            let most = open.iter().max_by_key(|body| body.held().1);
            match most.filter(|body| room == 0 && body.held().1 > MAX_SMALL_WITHOUT_ROOM) {
                Some(body) => room += body.lose(),
                None => return,
            }
        }
    }
}

/// The body as the server reads it. The unread part is left to [`Rest`].
struct TrackedBody {
    is_awaited: bool,
    rest: Arc<Rest>,
}

/// The part of a request's body that its response left unread.
#[derive(Debug)]
pub(super) struct Rest {
    of: Arc<Bodies>,
    body: Mutex<Held>,
}

impl Rest {
    /// Reads a small unread part of a body of HTTP/1.1. Announces otherwise that the connection ends with this response.
    pub(super) async fn settle(&self, response: &mut Response) {
        let Some(is_read) = self.read_small().await else { return };
        self.of.connection.record_unread_request(!is_read);
        if !is_read {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }

    /// Reads a small unread part. Returns whether all of it was read; `None` if there is none.
    pub(super) async fn read_small(&self) -> Option<bool> {
        // A body that the server still has may still be read. Its drop notes an unread part.
        let is_unread = matches!(self.body.lock().reader, Reader::Gone | Reader::Awaited);
        if !is_unread {
            return None;
        }
        Some(tokio::time::timeout(REST_TIMEOUT, self.read_rest(MAX_REST_BYTES)).await == Ok(true))
    }

    /// Reads an unread part of at most `max_bytes`. Returns whether it ended. The body stays here, where
    /// [`Bodies`] finds it if this task is late.
    async fn read_rest(&self, max_bytes: u64) -> bool {
        let poll = |context: &mut Context<'_>| {
            let mut body = self.body.lock();
            let is_awaited = body.reader == Reader::Awaited;
            if is_awaited { Poll::Ready(false) } else { body.poll_discard(max_bytes, context) }
        };
        std::future::poll_fn(poll).await
    }

    /// Returns the bytes and the number of small frames that are held for the server.
    fn held(&self) -> (usize, usize) {
        let body = self.body.lock();
        (body.bytes, body.small)
    }

    /// Receives what the server has not read, up to a first frame that is not small, or all of it, and at most `room` bytes.
    /// Returns the bytes that are held in addition.
    fn receive(&self, is_all: bool, room: usize) -> usize {
        let mut body = self.body.lock();
        let received = body.receive(is_all, room);
        wake(body);
        received
    }

    /// Fails the body for the server, and discards it from now on. A reset instead would leave the frames that are on their way to h2,
    /// which ends the connection for them. Returns the bytes that were held.
    fn lose(&self) -> usize {
        let mut body = self.body.lock();
        let bytes = body.bytes;
        if body.reader == Reader::Handler {
            body.discard(Reader::LateHandler);
        }
        wake(body);
        bytes
    }

    /// Discards the unread part of a body of HTTP/2 while the client receives the response. If [`MAX_DISCARDING`] do so
    /// already, the first of them ends: slow clients of a proxy that shares the connection must not take all places.
    pub(super) fn discard(self: &Arc<Self>) {
        let mut body = self.body.lock();
        // A runtime that ends has no tasks.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if body.reader != Reader::Gone || body.is_end_stream() {
            return;
        }
        body.reader = Reader::Discarder;
        drop(body);
        let rest = self.clone();
        let task = runtime.spawn(async move {
            tokio::time::timeout(DISCARD_TIMEOUT, rest.read_rest(MAX_DISCARDED_BYTES)).await.ok();
        });
        let mut tasks = self.of.discarding.lock();
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
        let mut body = self.rest.body.lock();
        if body.reader == Reader::LateHandler {
            return Poll::Ready(Some(Err(Status::from(Error::new(Reason::Overloaded)).into())));
        }
        body.poll_frame(context).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        let body = self.rest.body.lock();
        body.reader == Reader::Handler && body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.rest.body.lock().size_hint()
    }
}

impl Drop for TrackedBody {
    fn drop(&mut self) {
        let mut body = self.rest.body.lock();
        if body.reader == Reader::LateHandler {
            body.reader = Reader::Gone;
            drop(body);
            // The response may have ended before.
            self.rest.discard();
        } else if !body.is_end_stream() {
            self.rest.of.connection.record_unread_request(true);
            body.discard(if self.is_awaited { Reader::Awaited } else { Reader::Gone });
        }
    }
}

/// Wakes the task that awaits the next frame: a receipt has replaced its registration, and a lost body gets no further frame.
fn wake(mut body: MutexGuard<'_, Held>) {
    let waker = body.waker.take();
    drop(body);
    if let Some(waker) = waker {
        waker.wake();
    }
}
