//! Counts requests, for the metrics and for their connection.

use metrics::{Gauge, gauge};

use crate::http::exchange::{Active, Exchange};

/// Counts a request until it is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    /// Looked up once per request.
    in_flight: Gauge,
    _active: Option<Active>,
}

impl Counted {
    pub(super) fn new(exchange: Option<&Exchange>) -> Self {
        let in_flight = gauge!("mainstay_requests_in_flight");
        in_flight.increment(1);
        Self { in_flight, _active: exchange.and_then(|exchange| exchange.connection().enter()) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.in_flight.decrement(1);
    }
}
