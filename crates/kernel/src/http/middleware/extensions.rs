//! The extensions of a request or a response by which one middleware informs another.

use std::{any::Any, sync::Arc, time::Instant};

use uuid::Uuid;

/// The arrival of a request that then waited for its turn: its deadline counts from here.
#[derive(Debug, Clone, Copy)]
pub(super) struct ArrivalTime(pub(super) tokio::time::Instant);

/// The time at which the caller stops waiting for the last byte of a response.
#[derive(Debug, Clone, Copy)]
pub(super) struct ResponseDeadline(pub(super) Instant);

/// Marks the response of an admitted watch. The rejection of a watch is a response like others.
#[derive(Debug, Clone, Copy)]
pub(super) struct IsWatch;

/// Marks a page that is produced while it is read: its body no longer shows that once it is compressed.
#[derive(Debug, Clone, Copy)]
pub(super) struct IsStream;

#[derive(Debug, Clone, Copy)]
pub(super) struct Principal(pub(super) Uuid);

/// The turn of a request, which is held until its response is complete, or is a stream that begins.
#[derive(Debug, Clone)]
pub(super) struct HeldTurn {
    _turn: Arc<dyn Any + Send + Sync>,
}

impl HeldTurn {
    pub(super) fn new(turn: impl Any + Send + Sync) -> Self {
        Self { _turn: Arc::new(turn) }
    }
}
