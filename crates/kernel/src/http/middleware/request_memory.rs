//! Bounds the memory of requests whose bodies are read as a whole: bodies of REST are read before authentication, and
//! messages of gRPC also by public methods.
//!
//! A compressed body of REST counts with its decompressed size, which can be a thousand times the size that was sent. Small
//! bodies are not counted, so that a network that uses up the memory does not block small requests of others. Streams are
//! not counted, because they are passed on as they arrive. A limit per body (hyper, tower-http) bounds neither the sum of
//! all bodies nor the part of one network.
//!
//! Unread responses have another total (`in_flight`): callers without credentials must not use it up, and a stalled reader can
//! be evicted, whereas half of a request cannot.

use std::{
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::Body as _;

use super::{
    layer::{Body, Middleware, Next, Request, ResponseFuture, polled, refuse},
    protocol, rate_limit,
};
use crate::{
    config::RECEIVED_SHARE_DIVISOR,
    contract::Contract,
    error::{Error, Reason},
    fair_share::{FairShare, Rule, Share},
    rate_limit::Network,
};

/// The size in bytes up to which a body is not counted; most are smaller.
const SMALL: usize = 16 << 10;

/// A middleware that rejects a body for which no memory is left. Clones share the memory.
#[derive(Debug, Clone)]
pub(crate) struct BoundRequestMemory {
    memory: FairShare<Network>,
    contract: &'static Contract,
}

impl BoundRequestMemory {
    /// Allows `bytes` for all bodies, a quarter of them for one network.
    pub(crate) fn new(bytes: usize, contract: &'static Contract) -> Self {
        Self { memory: FairShare::new(bytes, Rule::OfRest(RECEIVED_SHARE_DIVISOR)), contract }
    }
}

impl<S: Next> Middleware<S> for BoundRequestMemory {
    fn handle(&self, request: Request, next: &mut S) -> ResponseFuture {
        let content_length = request.body().size_hint().exact();
        if content_length.is_some_and(|bytes| bytes <= SMALL as u64) || is_stream(self.contract, &request) {
            return next.pass(request);
        }
        let memory = Arc::new(MemoryUse {
            memory: self.memory.clone(),
            network: Network::of(rate_limit::client(&request)),
            share: OnceLock::new(),
            is_refused: AtomicBool::new(false),
        });
        let own = memory.clone();
        let response = next.run(request.map(|body| counted(body, own)));
        Box::pin(async move {
            // The memory stays reserved until there is a response.
            let response = response.await;
            match memory.is_refused.load(Ordering::Relaxed) {
                true => refuse(Error::new(Reason::Overloaded).retry_after(Duration::from_secs(1))).await,
                false => Ok(response),
            }
        })
    }
}

/// Returns whether the body is passed on as it arrives: that of a client stream. A path without a method of the contract is
/// either rejected before its body is read, or is health or reflection, which [`BoundEndless`] bounds.
///
/// [`BoundEndless`]: super::endless::BoundEndless
fn is_stream(contract: &Contract, request: &Request) -> bool {
    let path = request.uri().path();
    if protocol::name(request) == "rest" {
        let route = contract.rules.route(request.method(), path);
        return route.is_some_and(|route| route.method.is_client_streaming());
    }
    contract.policies.get(path).is_none_or(|method| method.descriptor.is_client_streaming())
}

#[derive(Debug)]
struct MemoryUse {
    memory: FairShare<Network>,
    network: Network,
    /// Empty while the body is small.
    share: OnceLock<Share<Network>>,
    is_refused: AtomicBool,
}

impl MemoryUse {
    fn add(&self, more: usize) -> bool {
        self.share.get_or_init(|| self.memory.count(self.network, 0, ())).add(more).is_ok()
    }
}

/// Counts the bytes of a body as they are read.
fn counted(body: Body, memory: Arc<MemoryUse>) -> Body {
    let mut total = 0;
    polled(body, move |body, context| {
        let frame = ready!(Pin::new(&mut *body).poll_frame(context));
        let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
        let before = total;
        total += bytes;
        let due = match (before <= SMALL, total <= SMALL) {
            (_, true) => 0,
            (true, false) => total,
            (false, false) => bytes,
        };
        if due == 0 || memory.add(due) {
            return Poll::Ready(frame);
        }
        metrics::counter!("mainstay_requests_shed_total").increment(1);
        memory.is_refused.store(true, Ordering::Relaxed);
        *body = Body::empty();
        Poll::Ready(Some(Err(Error::new(Reason::Overloaded).into())))
    })
}
