//! Bounds the methods without a policy, which have no deadline: the streams of `Health/Watch` and of reflection, and probes.
//!
//! These methods need no credential. A network may therefore have only a few streams, each message counts against the limit
//! of the address, and all streams end when the drain begins, which would otherwise wait for them. A stream must send its
//! first message soon. Probes have no rate limit, so the number of probes with a late message is bounded. The timeout and
//! concurrency layers of tower have neither shares per network nor a charge per message of a stream.

use std::{convert::Infallible, net::IpAddr, pin::pin, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt as _, StreamBody};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::{
    contract::Method,
    error::{Error, Reason},
    fair_share::{FairShare, Rule, Share},
    http::middleware::{
        layer::{Body, Middleware, Next, Request, Response, ResponseFuture, refuse, trailers},
        protocol, rate_limit,
    },
    rate_limit::{Charges, Limiter, Network},
};

/// The maximum number of streams of all addresses, and of probes whose message is late.
const MAX_STREAMS: usize = 256;
/// One network has at most the total divided by this; less while others have some.
const NETWORK_SHARE_DIVISOR: usize = 8;
/// The time after which a probe counts as late. The message of a load balancer's probe arrives with its headers.
const LATE_PROBE: Duration = Duration::from_millis(200);
/// The timeout of a probe. That of a load balancer is shorter.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// The timeout of a stream's beginning, which is as soon as its first message has arrived.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub(crate) struct BoundEndless {
    limiter: Limiter,
    draining: CancellationToken,
    streams: FairShare<Network>,
    late_probes: FairShare<Network>,
}

impl BoundEndless {
    /// Creates a middleware whose streams end once `draining` is cancelled.
    pub(crate) fn new(limiter: Limiter, draining: CancellationToken) -> Self {
        let [streams, late_probes] = [(); 2].map(|()| FairShare::new(MAX_STREAMS, Rule::OfRest(NETWORK_SHARE_DIVISOR)));
        Self { limiter, draining, streams, late_probes }
    }
}

impl<S: Next> Middleware<S> for BoundEndless {
    fn handle(&self, request: Request, next: &mut S) -> ResponseFuture {
        if request.extensions().get::<&'static Method>().is_some() {
            return next.pass(request);
        }
        if protocol::is_probe(&request) {
            let (late, network) = (self.late_probes.clone(), Network::of(rate_limit::client(&request)));
            return Box::pin(probe(next.run(request), late, network));
        }
        let address = rate_limit::client(&request);
        let Ok(place) = self.streams.take(Network::of(address), 1) else {
            return refuse(Error::new(Reason::Overloaded).retry_after(Duration::from_secs(1)));
        };
        let response = next.run(request);
        let Self { limiter, draining, .. } = self.clone();
        Box::pin(async move {
            let response = tokio::select! {
                response = response => response,
                () = draining.cancelled() => return refuse(Reason::Unavailable.into()).await,
                () = tokio::time::sleep(HEAD_TIMEOUT) => return refuse(Reason::DeadlineExceeded.into()).await,
            };
            // A status without messages has to stay one frame.
            if response.body().is_end_stream() {
                return Ok(response);
            }
            let bounded = |body| Bounded { body, limiter, address, draining, free: 1, _place: place };
            Ok(response.map(|body| Body::new(StreamBody::new(stream::unfold(Some(bounded(body)), Bounded::next)))))
        })
    }
}

/// Waits for the response to a probe. A late probe takes a place, or is rejected.
async fn probe(
    response: impl Future<Output = Response>,
    late: FairShare<Network>,
    network: Network,
) -> Result<Response, Infallible> {
    let mut response = pin!(response);
    if let Ok(response) = tokio::time::timeout(LATE_PROBE, response.as_mut()).await {
        return Ok(response);
    }
    let Ok(_place) = late.take(network, 1) else {
        return refuse(Error::new(Reason::Overloaded).retry_after(Duration::from_secs(1))).await;
    };
    match tokio::time::timeout(PROBE_TIMEOUT - LATE_PROBE, response).await {
        Ok(response) => Ok(response),
        Err(_) => refuse(Reason::DeadlineExceeded.into()).await,
    }
}

struct Bounded {
    body: Body,
    limiter: Limiter,
    address: IpAddr,
    draining: CancellationToken,
    /// The number of messages that the charge of the request covers.
    free: usize,
    _place: Share<Network>,
}

type NextFrame = Result<Frame<Bytes>, Status>;

impl Bounded {
    async fn next(state: Option<Self>) -> Option<(NextFrame, Option<Self>)> {
        let mut this = state?;
        let frame = tokio::select! {
            // Messages before the drain are sent first.
            biased;
            frame = this.body.frame() => frame?,
            () = this.draining.cancelled() => return Some((end(Reason::Unavailable), None)),
        };
        let messages = frame.as_ref().ok().and_then(Frame::data_ref).map_or(0, messages);
        let due = messages.saturating_sub(this.free);
        this.free -= messages - due;
        for _ in 0..due {
            if !this.limiter.charge(&Charges::of_address(this.address)).await.allowed {
                return Some((end(Reason::RateLimitExceeded), None));
            }
        }
        Some((frame, Some(this)))
    }
}

fn end(reason: Reason) -> NextFrame {
    trailers(&Error::new(reason).into())
}

/// Counts the messages in a frame of tonic, which are complete.
fn messages(data: &Bytes) -> usize {
    let mut rest = &data[..];
    let mut count = 0;
    while let Some((head, after)) = rest.split_first_chunk::<5>() {
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        rest = after.get(length..).unwrap_or_default();
        count += 1;
    }
    count
}
