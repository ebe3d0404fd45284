//! Limits the number of concurrent calls. A call without a free slot fails immediately: a queue for a slow provider
//! would only slow its callers down too.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::outbound::{
    Error, Request, Response,
    middleware::{Middleware, Next},
};

/// The slots for concurrent calls.
#[derive(Debug, Clone)]
pub(crate) struct Bulkhead {
    provider: &'static str,
    slots: Arc<Semaphore>,
}

impl Bulkhead {
    pub(crate) fn new(provider: &'static str, slots: usize) -> Self {
        Self { provider, slots: Arc::new(Semaphore::new(slots)) }
    }
}

impl Middleware for Bulkhead {
    async fn handle<S: Next>(self, request: Request, next: S) -> Result<Response, Error> {
        let Ok(_slot) = self.slots.try_acquire() else {
            return Err(Error::not_sent(self.provider, "every slot is taken", None));
        };
        next.run(request).await
    }
}
