//! Load shedding: refuses new requests while too many are in flight.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    error::{Error, Reason},
    http::middleware::{
        layer::{Middleware, Next, Request, ResponseFuture, refuse},
        protocol,
    },
};

/// The place of a request among the concurrent ones, as a response extension: a stream keeps it to its end.
#[derive(Debug, Clone)]
pub(super) struct Place {
    _permit: Arc<OwnedSemaphorePermit>,
}

/// A middleware that limits the requests in flight. There is no queue: waiting here would only delay responses.
#[derive(Debug, Clone)]
pub struct Shed {
    places: Arc<Semaphore>,
}

impl Shed {
    /// Allows at most `max_in_flight` requests at once.
    pub fn new(max_in_flight: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(max_in_flight)) }
    }
}

impl Middleware for Shed {
    fn handle<S: Next>(&self, request: Request, next: &mut S) -> ResponseFuture {
        if let Err(error) = crate::fault::point("shed") {
            return refuse(error);
        }
        // A load balancer that receives a 503 from a busy instance's health check would move its load to the other
        // instances.
        let health = protocol::is_probe(&request);
        let place = match self.places.clone().try_acquire_owned() {
            Ok(place) => Some(place),
            Err(_) if health => None,
            Err(_) => {
                metrics::counter!("mainstay_requests_shed_total").increment(1);
                return refuse(Error::new(Reason::Overloaded).retry_after(Duration::from_secs(1)));
            }
        };
        let response = next.run(request);
        Box::pin(async move {
            let mut response = response.await;
            if let Some(permit) = place {
                response.extensions_mut().insert(Place { _permit: Arc::new(permit) });
            }
            Ok(response)
        })
    }
}
