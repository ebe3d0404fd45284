//! Counts requests, for the metrics and for their connection.

use metrics::gauge;

use crate::http::exchange::{Active, Exchange};

/// Counts a request until it is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    _active: Option<Active>,
}

impl Counted {
    pub(super) fn new(exchange: Option<&Exchange>) -> Self {
        gauge!("mainstay_requests_in_flight").increment(1);
        Self { _active: exchange.and_then(|exchange| exchange.connection().enter()) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        gauge!("mainstay_requests_in_flight").decrement(1);
    }
}
