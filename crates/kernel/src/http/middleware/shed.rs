//! Overload: how many requests run at once, and what becomes of the others.
//!
//! More requests at once than the processors and Postgres can work on only make all of them slower, until none is done
//! before its caller gives up. So a limited number runs, and the others wait in line for up to [`MAX_WAIT`]: a burst is
//! worked off, and callers that come back at once after a refusal are slowed to one attempt per second, which costs
//! less than to refuse them as fast as they ask. The limit adapts ([`admission`]). A request whose body is late has no turn
//! ([`arriving`]).
//!
//! The line is bounded. A request that finds no room in it is refused, but no sooner than if it had waited: hardly any of it is
//! kept meanwhile, and as many are held as there may be connections. So whoever has a connection for each of its requests is
//! slowed, however many there are; only what callers send beyond that, many at once on each of their connections, is
//! refused as fast as they ask, because to hold it would cost memory without a bound.
//!
//! [`admission`]: self::admission
//! [`arriving`]: self::arriving

mod admission;
mod arriving;

use std::{convert::Infallible, sync::Arc, time::Duration};

use http_body::Body as _;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::{
    budget::Budget,
    database::Database,
    error::{Error, Reason},
    http::middleware::{
        extensions::{ArrivalTime, Place},
        idempotency,
        layer::{Body, Middleware, Next, Request, Response, ResponseFuture, refuse},
        protocol, rate_limit, timeout,
    },
};
use admission::{AdmissionQueue, Turn};
use arriving::{Arriving, Share, Terms};

/// The longest that a request waits to be run; shorter if its caller gives up before.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// One network gets at most all places for late bodies divided by this; less while others have some.
const NETWORK_SHARE_DIVISOR: usize = 8;

/// A middleware that limits the requests that run at once, and those in flight.
#[derive(Debug, Clone)]
pub struct Shed {
    queue: AdmissionQueue,
    places: Arc<Semaphore>,
    late: Budget,
    /// How many more refusals may be held.
    refusals: Arc<Semaphore>,
}

impl Shed {
    /// Allows at most `max_in_flight` requests at once, half of them with late bodies, and of those that run as many as
    /// `database` bears. As many refusals may be held as there may be connections.
    pub fn new(max_in_flight: usize, max_connections: usize, database: Database) -> Self {
        let queue = AdmissionQueue::new(max_in_flight, move || database.waits());
        let late = Budget::new(max_in_flight.div_ceil(2), NETWORK_SHARE_DIVISOR);
        let [places, refusals] = [max_in_flight, max_connections].map(|count| Arc::new(Semaphore::new(count)));
        Self { queue, places, late, refusals }
    }
}

impl<S: Next> Middleware<Request, S> for Shed {
    fn handle(&self, mut request: Request, next: &mut S) -> ResponseFuture {
        if let Err(error) = crate::fault::point("shed") {
            return refuse(error);
        }
        // A load balancer that receives a 503 from a busy instance's health check would move its load to the other
        // instances.
        if protocol::is_probe(&request) {
            return next.pass(request);
        }
        // A retry under a key may find its work done.
        let is_keyed = idempotency::is_keyed(request.headers());
        let wait = timeout::requested_timeout(&request).map_or(MAX_WAIT, |requested| requested.min(MAX_WAIT));
        let Self { queue, places, late, refusals } = self.clone();
        let terms = Terms { queue: queue.clone(), places: late, client: rate_limit::client(&request), is_keyed, wait };
        if let Some(turn) = queue.try_enter() {
            let Ok(place) = places.try_acquire_owned() else {
                return Box::pin(refuse_at(Instant::now() + wait, refusals));
            };
            let (request, share) = begin(request, turn, terms);
            return Box::pin(run(next.run(request), share, place));
        }
        let arrived_at = Instant::now();
        request.extensions_mut().insert(ArrivalTime(arrived_at));
        let mut next = next.clone();
        Box::pin(async move {
            let turn = queue.enter(is_keyed, wait).await;
            let Some((turn, place)) = turn.and_then(|turn| Some((turn, places.try_acquire_owned().ok()?))) else {
                drop((request, terms, next));
                return refuse_at(arrived_at + wait, refusals).await;
            };
            let (request, share) = begin(request, turn, terms);
            run(next.run(request), share, place).await
        })
    }
}

/// Lets the body of a request give the turn up while it is late.
fn begin(request: Request, turn: Turn, terms: Terms) -> (Request, Share) {
    let share = Share::new(turn);
    let arriving = |body: Body| match body.is_end_stream() {
        true => body,
        false => Body::new(Arriving::new(body, share.clone(), terms)),
    };
    (request.map(arriving), share)
}

/// Ends a turn when it is dropped.
struct Ending(Share);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Ends the turn with the head of the response, which keeps the place until it is complete.
async fn run(
    response: impl Future<Output = Response>,
    share: Share,
    place: OwnedSemaphorePermit,
) -> Result<Response, Infallible> {
    // Also if nobody waits for the response any more.
    let turn = Ending(share);
    let mut response = response.await;
    if turn.0.end() {
        // Further in, it looks as if the body had ended early.
        return overloaded().await;
    }
    response.extensions_mut().insert(Place::new(place));
    Ok(response)
}

/// Refuses a request that there was no room for, at the time until which it would have waited; at once, if no more refusals
/// may be held.
async fn refuse_at(time: Instant, refusals: Arc<Semaphore>) -> Result<Response, Infallible> {
    if let Ok(_held) = refusals.try_acquire() {
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
    use crate::database::Waits;

    #[tokio::test(start_paused = true)]
    async fn whoever_finds_no_room_to_wait_is_slowed_too() {
        let shed = Shed {
            queue: AdmissionQueue::new(1, || Waits { count: 0, total: Duration::ZERO }),
            places: Arc::new(Semaphore::new(1)),
            late: Budget::new(1, 1),
            refusals: Arc::new(Semaphore::new(2)),
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
