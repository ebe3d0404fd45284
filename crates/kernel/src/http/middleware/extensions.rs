//! What one middleware tells another, as extensions of a request or a response.

use std::{sync::Arc, time::Instant};

use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

/// When a request arrived that had to wait for its turn: its deadline does not begin anew.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrived(pub(super) tokio::time::Instant);

/// When the caller stops waiting for the last byte of a response.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expires(pub(super) Instant);

/// A response is that of a watch which was let in. Refusals of one are like all others.
#[derive(Debug, Clone, Copy)]
pub(super) struct IsWatch;

/// A page is made while it is read. Its body does not tell once it is compressed.
#[derive(Debug, Clone, Copy)]
pub(super) struct IsStream;

/// Whom a response is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Principal(pub(super) Uuid);

/// The place of a request among all in flight, until its response is complete, or is a stream that begins.
#[derive(Debug, Clone)]
pub(super) struct Place {
    _permit: Arc<OwnedSemaphorePermit>,
}

impl Place {
    pub(super) fn new(permit: OwnedSemaphorePermit) -> Self {
        Self { _permit: Arc::new(permit) }
    }
}
