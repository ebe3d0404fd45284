//! What one middleware tells another, as extensions of a request or a response.

use std::{sync::Arc, time::Instant};

use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

/// When a request arrived that then waited for its turn: its deadline counts from here.
#[derive(Debug, Clone, Copy)]
pub(super) struct ArrivalTime(pub(super) tokio::time::Instant);

/// When the caller stops waiting for the last byte of a response.
#[derive(Debug, Clone, Copy)]
pub(super) struct ResponseDeadline(pub(super) Instant);

/// Marks the response of a watch that was admitted; the refusal of a watch is a response like others.
#[derive(Debug, Clone, Copy)]
pub(super) struct IsWatch;

/// Marks a page that is produced while it is read: its body no longer shows that once it is compressed.
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
