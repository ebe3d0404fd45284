//! So many calls at once and no more. Whoever finds no place is told at once: a queue in front of a slow provider would
//! only make its callers slow too.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{
    Error, Request, Response,
    middleware::{Middleware, Next},
};

/// The places.
#[derive(Debug, Clone)]
pub(super) struct Bulkhead {
    provider: &'static str,
    places: Arc<Semaphore>,
}

impl Bulkhead {
    pub(super) fn new(provider: &'static str, places: usize) -> Self {
        Self { provider, places: Arc::new(Semaphore::new(places)) }
    }
}

impl Middleware for Bulkhead {
    async fn handle<S: Next>(self, request: Request, next: S) -> Result<Response, Error> {
        let Ok(_place) = self.places.try_acquire() else {
            return Err(Error::not_sent(self.provider, "every place is taken", None));
        };
        next.run(request).await
    }
}
