//! The bulkhead of a provider: a limit on concurrent calls. A call without a free slot fails immediately, because a
//! queue for a slow provider would only slow down its callers.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::outbound::{
    Error, Request,
    middleware::{Middleware, Next, ResponseFuture},
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

impl<S: Next> Middleware<Request, S> for Bulkhead {
    fn handle(&self, request: Request, next: &mut S) -> ResponseFuture {
        let (this, next) = (self.clone(), next.clone());
        Box::pin(async move {
            let Ok(_slot) = this.slots.try_acquire() else {
                return Err(Error::not_sent(this.provider, "every slot is taken", None));
            };
            next.run(request).await
        })
    }
}
