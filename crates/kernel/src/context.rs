//! The request context, which is not passed as an argument: the request id and the deadline.
//!
//! The middleware opens the scope; transactions, outbound calls and jobs read it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

tokio::task_local! {
    static CONTEXT: Context;
}

/// The context of a request.
#[derive(Debug, Clone)]
pub struct Context {
    /// Identifies the request in the logs.
    pub request_id: Arc<str>,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
}

impl Context {
    /// Runs `future` within this context.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        CONTEXT.scope(self, future).await
    }
}

/// Returns the id of the current request.
pub fn request_id() -> Option<Arc<str>> {
    CONTEXT.try_with(|context| context.request_id.clone()).ok()
}

/// Returns the time left until the deadline; `None`: there is no deadline.
pub fn remaining() -> Option<Duration> {
    let deadline = CONTEXT.try_with(|context| context.deadline).ok().flatten()?;
    Some(deadline.saturating_duration_since(Instant::now()))
}
