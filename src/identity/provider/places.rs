//! The places of the callers that use or await the provider of an account. A provider may be slow on purpose.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// The maximum number of concurrent calls.
const MAX_CALLS: usize = 4;
/// The maximum number of callers that wait for a document.
const MAX_WAITING: usize = 8;
/// The maximum number of people who return at a time, and share the few calls.
const MAX_RETURNS: usize = 16;

/// The places at one provider. All clients of the provider share them: an owner who changes the provider again and again gets no
/// more.
#[derive(Debug, Clone)]
pub(super) struct Places {
    pub(super) calls: Arc<Semaphore>,
    /// For the metadata.
    pub(super) metadata: Arc<Semaphore>,
    /// For the keys.
    pub(super) keys: Arc<Semaphore>,
    pub(super) returns: Arc<Semaphore>,
}

impl Default for Places {
    fn default() -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        Self {
            calls: places(MAX_CALLS),
            metadata: places(MAX_WAITING),
            keys: places(MAX_WAITING),
            returns: places(MAX_RETURNS),
        }
    }
}
