//! Overload: how many requests run at once, and what becomes of the others.
//!
//! More requests at once than the processors and Postgres can work on only make all of them slower, until none is done
//! before its caller gives up. So a limited number runs, and the others wait in line for up to [`MAX_WAIT`]: a burst is
//! worked off, and callers that come back at once after a refusal are slowed to one attempt per second, which costs
//! less than to refuse them as fast as they ask. The limit adapts ([`line`]).
//!
//! [`line`]: self::line

mod line;

use std::{convert::Infallible, sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::{
    database::Database,
    error::{Error, Reason},
    http::middleware::{
        extensions::{Arrived, Place},
        layer::{Middleware, Next, Request, Response, ResponseFuture, refuse},
        protocol, timeout,
    },
};
use line::{Line, Turn};

/// The longest that a request waits to be run; shorter if its caller gives up before.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// A middleware that limits the requests that run at once, and those in flight.
#[derive(Debug, Clone)]
pub struct Shed {
    line: Line,
    places: Arc<Semaphore>,
}

impl Shed {
    /// Allows at most `max_in_flight` requests and streams at once, and of requests those that `database` bears.
    pub fn new(max_in_flight: usize, database: Database) -> Self {
        let line = Line::new(max_in_flight, move || database.waits());
        Self { line, places: Arc::new(Semaphore::new(max_in_flight)) }
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
        let is_keyed = request.headers().contains_key("idempotency-key");
        let Self { line, places } = self.clone();
        if let Some(turn) = line.try_enter() {
            let Ok(place) = places.try_acquire_owned() else { return overloaded() };
            return Box::pin(run(next.run(request), turn, place));
        }
        let wait = timeout::requested(&request).map_or(MAX_WAIT, |requested| requested.min(MAX_WAIT));
        request.extensions_mut().insert(Arrived(Instant::now()));
        let mut next = next.clone();
        Box::pin(async move {
            let Some(turn) = line.enter(is_keyed, wait).await else { return overloaded().await };
            let Ok(place) = places.try_acquire_owned() else { return overloaded().await };
            run(next.run(request), turn, place).await
        })
    }
}

/// Ends the turn with the head of the response, and lets the response keep the place.
async fn run(
    response: impl Future<Output = Response>,
    turn: Turn,
    place: OwnedSemaphorePermit,
) -> Result<Response, Infallible> {
    let mut response = response.await;
    drop(turn);
    response.extensions_mut().insert(Place::new(place));
    Ok(response)
}

fn overloaded() -> ResponseFuture {
    metrics::counter!("mainstay_requests_shed_total").increment(1);
    refuse(Error::new(Reason::Overloaded).retry_after(Duration::from_secs(1)))
}
