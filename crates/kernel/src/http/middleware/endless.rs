//! Bounds the methods without a policy, which have no deadline: the streams of `Health/Watch` and of reflection, and probes.
//!
//! These methods need no credential. A network may therefore have only a few streams, and all streams end when the drain
//! begins, which would otherwise wait for them. A stream must send its first message soon. Probes have no rate limit, so the
//! number of probes with a late message is bounded. The timeout and concurrency layers of tower have no shares per network.

use std::{convert::Infallible, pin::pin, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    contract::Method,
    error::{Error, Reason},
    fair_share::{FairShare, Rule},
    http::middleware::{
        layer::{Middleware, Next, Request, Response, ResponseFuture, ended_by, refuse},
        protocol, rate_limit,
    },
    rate_limit::Network,
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
    draining: CancellationToken,
    streams: FairShare<Network>,
    late_probes: FairShare<Network>,
}

impl BoundEndless {
    /// Creates a middleware whose streams end once `draining` is cancelled.
    pub(crate) fn new(draining: CancellationToken) -> Self {
        let [streams, late_probes] = [(); 2].map(|()| FairShare::new(MAX_STREAMS, Rule::OfRest(NETWORK_SHARE_DIVISOR)));
        Self { draining, streams, late_probes }
    }
}

impl<S: Next> Middleware<S> for BoundEndless {
    fn handle(&self, request: Request, next: &mut S) -> ResponseFuture {
        if request.extensions().get::<&'static Method>().is_some() {
            return next.pass(request);
        }
        let network = Network::of(rate_limit::client(&request));
        if protocol::is_probe(&request) {
            return Box::pin(probe(next.run(request), self.late_probes.clone(), network));
        }
        let Ok(place) = self.streams.take(network, 1) else {
            return refuse(Error::new(Reason::Overloaded).retry_after(Duration::from_secs(1)));
        };
        let (response, draining) = (next.run(request), self.draining.clone());
        Box::pin(async move {
            let response = tokio::select! {
                response = response => response,
                () = draining.cancelled() => return refuse(Reason::Unavailable.into()).await,
                () = tokio::time::sleep(HEAD_TIMEOUT) => return refuse(Reason::DeadlineExceeded.into()).await,
            };
            // Messages before the drain are sent first.
            let end = async move {
                let _place = place;
                draining.cancelled().await;
            };
            Ok(response.map(|body| ended_by(body, end, Reason::Unavailable)))
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
