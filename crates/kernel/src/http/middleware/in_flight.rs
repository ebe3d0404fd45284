//! Requests in flight: from their arrival to the last byte of their response.
//!
//! An unread response holds what it was made of. A unary response is therefore complete before its head is sent, without an
//! encoder, a connection or a page behind it, and its bytes count until they are written: against the total, against its
//! connection, and against its principal. The response whose reader has stalled for longest makes room; if no reader has
//! stalled, the new response is rejected, unless it reports a write. A stream of a page or of a method counts with a fixed
//! size at most. The send buffers of hyper and h2 are bounded per stream, but the sum of all streams of all connections is
//! not.
//!
//! An unread response holds no turn: its reader decides how long it takes, and must not block other requests.

mod body;
mod unread;

use std::{sync::Arc, time::Duration};

use http::header;
use metrics::{Gauge, counter, gauge};

use crate::{
    caller::Permit,
    contract::{Method, policy::Effect},
    error::{Error, Reason},
    http::{
        exchange::{Active, Exchange},
        middleware::{
            envelope,
            extensions::{HeldTurn, IsStream, IsWatch, Principal, ResponseDeadline},
            layer::{Body, Middleware, Next, Request, Response, ResponseFuture, refuse},
            protocol,
        },
    },
    large_responses::Slot,
};
use body::{BufferedBody, CountedBody};
use unread::ResponseLimits;
pub(crate) use unread::Unread;

/// About what a stream reads ahead.
const STREAM_BYTES: usize = 256 << 10;
/// About what a watch holds while its reader reads: most watches wait, and what they send is shared.
const WATCH_BYTES: usize = 4 << 10;

/// A middleware that counts a request until its last byte, and bounds the memory of unread responses.
#[derive(Debug, Clone)]
pub(crate) struct InFlight {
    unread: Arc<Unread>,
    requests: Gauge,
}

impl InFlight {
    /// Creates a middleware that counts unread responses in `unread`.
    pub(crate) fn new(unread: Arc<Unread>) -> Self {
        Self { unread, requests: gauge!("mainstay_requests_in_flight") }
    }
}

#[derive(Debug)]
struct InFlightGuard {
    requests: Gauge,
    _active: Option<Active>,
}

impl InFlightGuard {
    fn new(requests: Gauge, exchange: Option<&Exchange>) -> Self {
        requests.increment(1);
        Self { requests, _active: exchange.and_then(|exchange| exchange.connection().enter()) }
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.requests.decrement(1);
    }
}

impl<S: Next> Middleware<S> for InFlight {
    fn handle(&self, request: Request, next: &mut S) -> ResponseFuture {
        let exchange = Exchange::current();
        let in_flight = InFlightGuard::new(self.requests.clone(), exchange.as_ref());
        let (unread, protocol) = (self.unread.clone(), protocol::name(&request));
        let response = next.run(request);
        Box::pin(async move {
            let mut response = response.await;
            let turn = response.extensions_mut().remove::<HeldTurn>();
            let slot = response.extensions_mut().remove::<Slot>();
            let limits = ResponseLimits {
                exchange,
                principal: response.extensions().get().map(|&Principal(principal)| principal),
                deadline: response.extensions().get().map(|&ResponseDeadline(deadline)| deadline),
                is_watch: is_watch(&response),
                reports_write: reports_write(&response),
            };
            let stream_bytes = stream_bytes(&response);
            let (parts, body) = response.into_parts();
            let buffered = match stream_bytes {
                Some(bytes) => BufferedBody::stream(body, bytes),
                None => BufferedBody::complete(body).await,
            };
            drop((turn, slot));
            // The end of a small response is sent with its data. The windows of proxies are larger.
            let is_stream = limits.exchange.as_ref().is_some_and(Exchange::is_stream);
            let (bytes, holds_end) = (buffered.bytes(), is_stream && buffered.bytes() > unread::SMALL);
            match unread.reserve(bytes, limits, in_flight) {
                Some(guard) => {
                    let body = CountedBody::new(buffered, Arc::new(guard), holds_end);
                    Ok(Response::from_parts(parts, Body::new(body)))
                }
                None => {
                    let error = Error::new(Reason::Overloaded).retry_after(Duration::from_secs(1));
                    Ok(envelope::refusal(protocol, error))
                }
            }
        })
    }
}

/// A middleware that rejects callers with unread responses while memory is scarce (backpressure): a response costs more than
/// its rejection, and would be cut off, too.
#[derive(Debug, Clone)]
pub(crate) struct ReadFirst {
    pub(crate) unread: Arc<Unread>,
}

impl<S: Next> Middleware<S> for ReadFirst {
    fn handle(&self, request: Request, next: &mut S) -> ResponseFuture {
        let principal = request.extensions().get::<Permit>().map(|permit| permit.caller().limited_as());
        if let Some(pause) = principal.and_then(|principal| self.unread.pause_left(principal)) {
            counter!("mainstay_requests_shed_total").increment(1);
            let message = "Memory is scarce: read the responses to earlier requests first.";
            return refuse(Error::with_message(Reason::Overloaded, message).retry_after(pause));
        }
        next.pass(request)
    }
}

fn reports_write(response: &Response) -> bool {
    let method = response.extensions().get::<&'static Method>();
    method.is_some_and(|method| method.effect == Effect::Write) && !is_watch(response)
}

fn is_watch(response: &Response) -> bool {
    response.extensions().get::<IsWatch>().is_some()
}

/// Returns the bytes that a streamed response counts with; `None` for one that is buffered first. Health and
/// reflection, which have no method, have few streams.
fn stream_bytes(response: &Response) -> Option<usize> {
    match response.extensions().get::<&'static Method>() {
        Some(_) if is_watch(response) => Some(WATCH_BYTES),
        Some(method) => method.descriptor.is_server_streaming().then_some(STREAM_BYTES),
        None if response.extensions().get::<IsStream>().is_some() => Some(STREAM_BYTES.min(length(response))),
        None => protocol::is_grpc(response).then_some(0),
    }
}

/// Returns the length of a response by its header; without one, no bound.
fn length(response: &Response) -> usize {
    let length = response.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    length.unwrap_or(usize::MAX)
}
