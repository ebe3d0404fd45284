//! What travels with a request without being an argument: its id and its deadline.
//!
//! The perimeter opens the scope; transactions, outbound calls and jobs read the same one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

tokio::task_local! {
    static CONTEXT: Context;
}

/// What travels with a request.
#[derive(Debug, Clone)]
pub struct Context {
    /// Finds the request in the logs.
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

/// The id of the request in whose work this is called.
pub fn request_id() -> Option<Arc<str>> {
    CONTEXT.try_with(|context| context.request_id.clone()).ok()
}

/// How much time is left for the work at hand; `None`: nothing bounds it.
pub fn remaining() -> Option<Duration> {
    let deadline = CONTEXT.try_with(|context| context.deadline).ok().flatten()?;
    Some(deadline.saturating_duration_since(Instant::now()))
}
