//! Load shedding: an adaptive concurrency limit with a bounded queue.
//!
//! More concurrent requests than the CPUs and Postgres can serve only make all of them slower, until none finishes before its
//! caller gives up. A limited number runs, and excess requests queue for up to [`MAX_WAIT`]: the queue absorbs a burst, and
//! slows callers that retry immediately to one attempt per second, which costs less than rejecting each attempt. The limit
//! adapts to the load ([`admission`]). A request whose body is late has no turn ([`arriving`]).
//!
//! The queue is bounded. A request that finds the queue full is rejected, but not before the time that it would have waited:
//! hardly any of it is kept until then, and at most one rejection per connection is held. Callers with one connection per
//! request are therefore slowed, independent of their number. Rejections beyond that bound are immediate.
//!
//! tower's `ConcurrencyLimit` and `LoadShed` have neither a queue with a timeout and priorities nor a limit that adapts.
//!
//! [`admission`]: self::admission
//! [`arriving`]: self::arriving

mod admission;
mod arriving;

use std::{convert::Infallible, sync::Arc, time::Duration};

use tokio::{sync::Semaphore, time::Instant};

use crate::{
    database::Database,
    error::{Error, Reason},
    fair_share::{FairShare, Rule},
    http::middleware::{
        extensions::{ArrivalTime, HeldTurn},
        idempotency_key,
        layer::{Middleware, Next, Request, Response, ResponseFuture, refuse},
        protocol, rate_limit, timeout,
    },
    rate_limit::Network,
};
use admission::AdmissionQueue;
use arriving::{RequestTurn, Terms, TurnState};

/// The maximum time that a request waits for its turn; shorter if its caller gives up earlier.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// One network has at most all places of late bodies divided by this; less while others have some.
const NETWORK_SHARE_DIVISOR: usize = 8;

#[derive(Debug, Clone)]
pub(crate) struct Shed {
    queue: AdmissionQueue,
    late: FairShare<Network>,
    /// The rejections that may still be held.
    rejections: Arc<Semaphore>,
}

impl Shed {
    /// Runs at most `max_in_flight` requests at once, and as many of them as `database` can serve. Half as many
    /// more may wait for late bodies. At most `max_connections` rejections are held.
    pub(crate) fn new(max_in_flight: usize, max_connections: usize, database: Database) -> Self {
        Self {
            queue: AdmissionQueue::new(max_in_flight, move || database.waits()),
            late: FairShare::new(max_in_flight.div_ceil(2), Rule::OfRest(NETWORK_SHARE_DIVISOR)),
            rejections: Arc::new(Semaphore::new(max_connections)),
        }
    }
}

impl<S: Next> Middleware<S> for Shed {
    fn handle(&self, mut request: Request, next: &mut S) -> ResponseFuture {
        if let Err(error) = crate::fault::point("shed") {
            return refuse(error);
        }
        // A load balancer that receives a 503 from a busy instance's health check would move its load to others.
        if protocol::is_probe(&request) {
            return next.pass(request);
        }
        // The work of a retry under a key may be done already.
        let is_keyed = idempotency_key::is_keyed(request.headers());
        let wait = timeout::requested_timeout(&request).map_or(MAX_WAIT, |requested| requested.min(MAX_WAIT));
        let client = Network::of(rate_limit::client(&request));
        let terms = Terms { queue: self.queue.clone(), places: self.late.clone(), client, is_keyed, wait };
        if let Some(turn) = self.queue.try_enter() {
            let (request, turn) = terms.begin(request, turn);
            return Box::pin(run(next.run(request), turn));
        }
        let arrived_at = Instant::now();
        request.extensions_mut().insert(ArrivalTime(arrived_at));
        let (mut next, rejections) = (next.clone(), self.rejections.clone());
        Box::pin(async move {
            let Some(turn) = terms.queue.enter(is_keyed, wait).await else {
                drop((request, terms, next));
                return reject_at(arrived_at + wait, rejections).await;
            };
            let (request, turn) = terms.begin(request, turn);
            run(next.run(request), turn).await
        })
    }
}

/// Hands the turn over to the response, which holds the turn until it is complete.
async fn run(response: impl Future<Output = Response>, turn: RequestTurn) -> Result<Response, Infallible> {
    let mut response = response.await;
    match turn.end() {
        TurnState::Held(turn) => drop(response.extensions_mut().insert(HeldTurn::new(turn))),
        TurnState::Late => {}
        // To the inner layers, the body seems to have ended early.
        TurnState::Rejected => return overloaded().await,
    }
    Ok(response)
}

/// Rejects a request at the time until which it would have waited; at once, if no more rejections may be held.
async fn reject_at(time: Instant, rejections: Arc<Semaphore>) -> Result<Response, Infallible> {
    if let Ok(_held) = rejections.try_acquire() {
        tokio::time::sleep_until(time).await;
    }
    overloaded().await
}

fn overloaded() -> ResponseFuture {
    metrics::counter!("mainstay_requests_shed_total").increment(1);
    refuse(Error::new(Reason::Overloaded).retry_after(Duration::from_secs(1)))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::{admission::WAITING_PER_PLACE, *};
    use crate::{database::Waits, http::middleware::layer::Body};

    #[tokio::test(start_paused = true)]
    async fn a_request_that_finds_the_queue_full_is_slowed_too() {
        let shed = Shed {
            queue: AdmissionQueue::new(1, || Waits { count: 0, total: Duration::ZERO }),
            late: FairShare::new(1, Rule::OfRest(1)),
            rejections: Arc::new(Semaphore::new(2)),
        };
        let next = tower::service_fn(|_: Request| std::future::pending::<Result<Response, Infallible>>());
        let call = || {
            let request = http::Request::post("/shop.Shop/ListItems").body(Body::empty()).expect("a request");
            shed.handle(request, &mut next.clone())
        };
        let since = Instant::now();
        let _running = tokio::spawn(call());
        let waiting: Vec<_> = (0..WAITING_PER_PLACE).map(|_| tokio::spawn(call())).collect();
        tokio::task::yield_now().await;
        let slowed = [tokio::spawn(call()), tokio::spawn(call())];
        tokio::task::yield_now().await;
        assert!(call().now_or_never().is_some(), "no more are held");
        assert_eq!(since.elapsed(), Duration::ZERO);
        assert!(waiting.iter().chain(&slowed).all(|one| !one.is_finished()));
        for one in waiting.into_iter().chain(slowed) {
            let Ok(_response) = one.await.expect("no panic");
        }
        assert_eq!(since.elapsed(), MAX_WAIT);
        assert!(call().now_or_never().is_none(), "there is room again");
    }
}
