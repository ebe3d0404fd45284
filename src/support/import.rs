//! Imports of tickets from files.

pub mod job;
pub mod model;
pub mod ops;
pub mod service;
pub mod store;

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Slots for file uploads; each upload may use as much memory as the largest file.
pub(crate) struct Uploads(pub(crate) Arc<Semaphore>);

impl Uploads {
    pub(crate) fn new(slots: usize) -> Self {
        Self(Arc::new(Semaphore::new(slots)))
    }
}
