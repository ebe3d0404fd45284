//! Counts the requests in flight, for the metrics and for their connection.

use metrics::Gauge;

use crate::http::exchange::{Active, Exchange};

/// Counts a request until it is dropped.
#[derive(Debug)]
pub(super) struct InFlightGuard {
    in_flight: Gauge,
    _active: Option<Active>,
}

impl InFlightGuard {
    pub(super) fn new(in_flight: Gauge, exchange: Option<&Exchange>) -> Self {
        in_flight.increment(1);
        Self { in_flight, _active: exchange.and_then(|exchange| exchange.connection().enter()) }
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.in_flight.decrement(1);
    }
}
