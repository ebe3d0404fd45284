//! Refuses early what can't be served soon: beyond so many requests in flight a new one is told to come back.

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use super::{
    door,
    middleware::{Middleware, Next, Request, ResponseFuture, refuse},
};
use crate::error::{Error, Reason};

/// Bounds the requests in flight. There is no queue: waiting here would only make answers late.
#[derive(Debug, Clone)]
pub struct Shed {
    places: Arc<Semaphore>,
}

impl Shed {
    /// At most `max_in_flight` at once.
    pub fn new(max_in_flight: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(max_in_flight)) }
    }
}

impl Middleware for Shed {
    fn handle<S: Next>(&self, request: Request, next: &mut S) -> ResponseFuture {
        // A balancer that hears 503 from the health check of a busy instance would make the others busier.
        let health = door::is_health(&request);
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
            let response = response.await;
            drop(place);
            Ok(response)
        })
    }
}
