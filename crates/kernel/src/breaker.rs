//! A circuit breaker: consecutive failures suspend the calls to a dependency, until a probe is answered.
//!
//! ```text
//!   closed ──failures in a row──▶ open ──backoff is over──▶ half-open ──success──▶ closed
//!                                  ▲                            │
//!                                  └──failure, backoff doubled──┘
//! ```
//!
//! The probe is either a request of a caller, as for providers ([`Breaker::admit`]), or a call in the background, as
//! for Redis ([`Breaker::probe`]). A background probe keeps a hung dependency from delaying further callers. All other
//! calls are rejected meanwhile. A cancelled probe yields no verdict: the circuit opens again, and the next call is the
//! next probe.

#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

/// The number of consecutive failures that opens the circuit.
const MAX_FAILURES: u32 = 5;

/// The state of a circuit. The numbers are the values of the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Circuit {
    /// Calls go through.
    Closed = 0,
    /// One call probes the dependency; all others are rejected.
    HalfOpen = 1,
    /// All calls are rejected.
    Open = 2,
}

/// The result of a call, as evidence about the dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The dependency answers.
    Alive,
    /// The dependency does not answer.
    Unavailable,
    /// The call yielded no evidence.
    Unknown,
}

/// The circuit breaker of one dependency.
#[derive(Debug)]
pub struct Breaker {
    dependency: &'static str,
    /// The backoff of a circuit that has just opened. Each failed probe doubles it, up to `max_backoff`.
    initial_backoff: Duration,
    max_backoff: Duration,
    /// The [`Circuit`]. Every request reads it without the lock; writes happen under the lock only.
    circuit: AtomicU8,
    /// Consecutive failures.
    failures: AtomicU32,
    backoff: Mutex<Backoff>,
}

/// The time until an open circuit admits a probe.
#[derive(Debug, Clone, Copy)]
struct Backoff {
    until: Instant,
    duration: Duration,
}

impl Breaker {
    /// Creates a closed breaker for a dependency.
    pub fn new(dependency: &'static str, initial_backoff: Duration, max_backoff: Duration) -> Self {
        let backoff = Mutex::new(Backoff { until: Instant::now(), duration: initial_backoff });
        let breaker = Self {
            dependency,
            initial_backoff,
            max_backoff,
            circuit: AtomicU8::new(Circuit::Closed as u8),
            failures: AtomicU32::new(0),
            backoff,
        };
        breaker.set(Circuit::Closed);
        breaker
    }

    /// Returns the state. An open circuit whose backoff has elapsed counts as half-open: the next call goes through.
    pub fn state(&self) -> Circuit {
        match self.circuit() {
            Circuit::Open if self.backoff.lock().until <= Instant::now() => Circuit::HalfOpen,
            circuit => circuit,
        }
    }

    /// Admits a call, possibly as the probe.
    ///
    /// # Errors
    /// The time until the next probe, if the circuit is not closed.
    pub fn admit(self: Arc<Self>) -> Result<AdmittedCall, Duration> {
        if self.circuit() == Circuit::Closed {
            return Ok(AdmittedCall::new(self, false));
        }
        let (backoff, now) = (self.backoff.lock(), Instant::now());
        let is_probe = match self.circuit() {
            Circuit::Closed => false,
            Circuit::Open if backoff.until <= now => {
                self.set(Circuit::HalfOpen);
                true
            }
            Circuit::Open => return Err(backoff.until - now),
            Circuit::HalfOpen => return Err(self.initial_backoff),
        };
        drop(backoff);
        Ok(AdmittedCall::new(self, is_probe))
    }

    /// Begins a probe of an open circuit, even before its backoff has elapsed. Returns `None` if the circuit is closed
    /// or already being probed.
    pub fn probe(self: Arc<Self>) -> Option<AdmittedCall> {
        let backoff = self.backoff.lock();
        if self.circuit() != Circuit::Open {
            return None;
        }
        self.set(Circuit::HalfOpen);
        drop(backoff);
        Some(AdmittedCall::new(self, true))
    }

    /// Records an answered call.
    pub fn record_success(&self) {
        // A plain load comes first: without failures, the cache line stays shared between the cores.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// Records a failure. `is_lost` means that no further call can succeed, and opens the circuit at once. Returns
    /// whether this failure opened the circuit, which is true for only one of several concurrent failures.
    pub fn record_failure(&self, is_lost: bool) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if !is_lost && failures < MAX_FAILURES {
            return false;
        }
        let mut backoff = self.backoff.lock();
        // A call that was sent before the circuit opened is no evidence about the present.
        if self.circuit() != Circuit::Closed {
            return false;
        }
        tracing::warn!(dependency = self.dependency, "the circuit opened");
        self.open(&mut backoff, self.initial_backoff);
        true
    }

    fn record_probe(&self, verdict: Verdict) {
        let mut backoff = self.backoff.lock();
        match verdict {
            Verdict::Alive => {
                tracing::warn!(dependency = self.dependency, "the circuit closed");
                self.failures.store(0, Ordering::Relaxed);
                self.set(Circuit::Closed);
            }
            Verdict::Unavailable => {
                let duration = backoff.duration.saturating_mul(2).min(self.max_backoff);
                self.open(&mut backoff, duration);
            }
            Verdict::Unknown => {
                backoff.until = Instant::now();
                self.set(Circuit::Open);
            }
        }
    }

    fn open(&self, backoff: &mut Backoff, duration: Duration) {
        *backoff = Backoff { until: Instant::now() + duration, duration };
        self.set(Circuit::Open);
    }

    fn circuit(&self) -> Circuit {
        match self.circuit.load(Ordering::Acquire) {
            0 => Circuit::Closed,
            1 => Circuit::HalfOpen,
            _ => Circuit::Open,
        }
    }

    fn set(&self, circuit: Circuit) {
        self.circuit.store(circuit as u8, Ordering::Release);
        metrics::gauge!("mainstay_circuit", "dependency" => self.dependency).set(f64::from(circuit as u8));
    }
}

/// An admitted call. A drop without a verdict counts as a cancelled call.
#[derive(Debug)]
pub struct AdmittedCall {
    breaker: Arc<Breaker>,
    is_probe: bool,
    is_settled: bool,
}

impl AdmittedCall {
    fn new(breaker: Arc<Breaker>, is_probe: bool) -> Self {
        Self { breaker, is_probe, is_settled: false }
    }

    /// Records the verdict.
    pub fn settle(mut self, verdict: Verdict) {
        self.is_settled = true;
        match (self.is_probe, verdict) {
            (true, verdict) => self.breaker.record_probe(verdict),
            (false, Verdict::Alive) => self.breaker.record_success(),
            (false, Verdict::Unavailable) => drop(self.breaker.record_failure(false)),
            (false, Verdict::Unknown) => {}
        }
    }
}

impl Drop for AdmittedCall {
    fn drop(&mut self) {
        if self.is_probe && !self.is_settled {
            self.breaker.record_probe(Verdict::Unknown);
        }
    }
}
