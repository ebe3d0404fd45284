//! Overload: how many requests run at once, and what becomes of the others.
//!
//! More requests at once than the processors and Postgres can work on only make all of them slower, until none is done
//! before its caller gives up. So a limited number runs, and the others wait in line for up to [`MAX_WAIT`]: a burst is
//! worked off, and callers that come back at once after a refusal are slowed to one attempt per second, which costs
//! less than to refuse them as fast as they ask. The limit adapts ([`admission`]). A request whose body is late has no turn
//! ([`arriving`]).
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
}

impl Shed {
    /// Allows at most `max_in_flight` requests at once, half of them with late bodies, and of those that run as many as
    /// `database` bears.
    pub fn new(max_in_flight: usize, database: Database) -> Self {
        let queue = AdmissionQueue::new(max_in_flight, move || database.waits());
        let late = Budget::new(max_in_flight.div_ceil(2), NETWORK_SHARE_DIVISOR);
        Self { queue, places: Arc::new(Semaphore::new(max_in_flight)), late }
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
        let Self { queue, places, late } = self.clone();
        let terms = Terms { queue: queue.clone(), places: late, client: rate_limit::client(&request), is_keyed, wait };
        if let Some(turn) = queue.try_enter() {
            let Ok(place) = places.try_acquire_owned() else { return overloaded() };
            let (request, share) = begin(request, turn, terms);
            return Box::pin(run(next.run(request), share, place));
        }
        request.extensions_mut().insert(ArrivalTime(Instant::now()));
        let mut next = next.clone();
        Box::pin(async move {
            let Some(turn) = queue.enter(is_keyed, wait).await else { return overloaded().await };
            let Ok(place) = places.try_acquire_owned() else { return overloaded().await };
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

fn overloaded() -> ResponseFuture {
    metrics::counter!("mainstay_requests_shed_total").increment(1);
    refuse(Error::new(Reason::Overloaded).retry_after(Duration::from_secs(1)))
}
