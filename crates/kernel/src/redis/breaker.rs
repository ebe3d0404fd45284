//! A circuit breaker: after several consecutive failures nothing is tried until a probe has succeeded.
//!
//! The probe is not a caller's request: the call that opens the circuit starts the probe in the background (`link.rs`),
//! so a hung Redis delays the first few callers by a time-out each and no others.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// Consecutive failures that open the circuit.
const MAX_FAILURES: u32 = 5;

/// The state of a circuit; the numbers are the values of the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Circuit {
    /// Calls go through.
    Closed = 0,
    /// Calls are refused while a probe is running.
    HalfOpen = 1,
    /// Calls are refused.
    Open = 2,
}

/// Counts failures. Lock-free, because every request passes through it.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    failures: AtomicU32,
    state: AtomicU8,
}

impl Breaker {
    pub(crate) fn state(&self) -> Circuit {
        match self.state.load(Ordering::Acquire) {
            0 => Circuit::Closed,
            1 => Circuit::HalfOpen,
            _ => Circuit::Open,
        }
    }

    pub(crate) fn succeeded(&self) {
        // A plain load first: the cache line stays shared between the cores while there are no failures.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// Counts a failure; `lost` means that the connection is gone, which opens the circuit at once. Returns whether
    /// this failure opened the circuit; of several concurrent failures only one does.
    #[must_use]
    pub(crate) fn failed(&self, lost: bool) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        (lost || failures >= MAX_FAILURES) && self.turn(Circuit::Closed, Circuit::Open)
    }

    pub(crate) fn probing(&self) {
        self.set(Circuit::HalfOpen);
    }

    pub(crate) fn probed(&self, alive: bool) {
        self.failures.store(0, Ordering::Relaxed);
        self.set(if alive { Circuit::Closed } else { Circuit::Open });
    }

    fn turn(&self, from: Circuit, to: Circuit) -> bool {
        let turned = self.state.compare_exchange(from as u8, to as u8, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if turned {
            publish(to);
        }
        turned
    }

    fn set(&self, state: Circuit) {
        self.state.store(state as u8, Ordering::Release);
        publish(state);
    }
}

fn publish(state: Circuit) {
    metrics::gauge!("mainstay_redis_circuit").set(f64::from(state as u8));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_failures_opens_it_once() {
        let breaker = Breaker::default();
        for _ in 1..MAX_FAILURES {
            assert!(!breaker.failed(false));
        }
        breaker.succeeded();
        let opened = (0..3 * MAX_FAILURES).filter(|_| breaker.failed(false)).count();
        assert_eq!((opened, breaker.state()), (1, Circuit::Open));
    }

    #[test]
    fn a_lost_connection_opens_it_at_once_and_a_probe_closes_it() {
        let breaker = Breaker::default();
        assert!(breaker.failed(true));
        breaker.probing();
        assert_eq!(breaker.state(), Circuit::HalfOpen);
        breaker.probed(false);
        assert_eq!(breaker.state(), Circuit::Open);
        breaker.probed(true);
        assert_eq!(breaker.state(), Circuit::Closed);
        assert!(!breaker.failed(false), "the row begins anew");
    }
}
