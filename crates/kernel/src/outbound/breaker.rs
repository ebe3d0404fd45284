//! A circuit breaker: after several failures in a row, no calls are sent for a while; then one call probes the
//! provider.
//!
//! ```text
//!   closed ──failures in a row──▶ open ──rest is over──▶ half-open ──success──▶ closed
//!                                  ▲                        │
//!                                  └──failure, rest doubled─┘
//! ```
//!
//! Only failures that show that the provider is unavailable count: a rejection is an answer, and so is a failure
//! replayed for an idempotency key. While half-open, the only probe is a caller's own request; all other calls are
//! refused as if the circuit were open. A probe whose caller gives up has shown nothing, so the circuit opens again,
//! and the next call is the next probe.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::outbound::{
    Error, Kind, Request, Response,
    middleware::{Middleware, Next},
};

/// The number of failures in a row that open the circuit.
const MAX_FAILURES: u32 = 5;
/// How long the circuit is open at first; doubled after each failed probe.
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(30);

/// The state of a circuit; the numbers are the values of the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Circuit {
    /// Calls go through.
    Closed = 0,
    /// One call probes the provider.
    HalfOpen = 1,
    /// Calls are refused.
    Open = 2,
}

/// The circuit breaker of one provider.
#[derive(Debug)]
pub struct Breaker {
    provider: &'static str,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant, rest: Duration },
    HalfOpen { rest: Duration },
}

impl Breaker {
    /// Makes a closed breaker of a provider.
    pub fn new(provider: &'static str) -> Self {
        let breaker = Self { provider, state: Mutex::new(State::Closed { failures: 0 }) };
        breaker.publish(Circuit::Closed);
        breaker
    }

    /// Returns the state. An open circuit whose rest is over counts as half-open, because the next call goes through.
    pub fn state(&self) -> Circuit {
        match *self.lock() {
            State::Closed { .. } => Circuit::Closed,
            State::HalfOpen { .. } => Circuit::HalfOpen,
            State::Open { until, .. } if until <= Instant::now() => Circuit::HalfOpen,
            State::Open { .. } => Circuit::Open,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self, state: &mut State, next: State) {
        *state = next;
        self.publish(match next {
            State::Closed { .. } => Circuit::Closed,
            State::HalfOpen { .. } => Circuit::HalfOpen,
            State::Open { .. } => Circuit::Open,
        });
    }

    fn publish(&self, circuit: Circuit) {
        metrics::gauge!("mainstay_outbound_circuit", "provider" => self.provider).set(f64::from(circuit as u8));
    }

    /// Admits a call, possibly as a probe.
    pub fn admit(self: Arc<Self>) -> Result<Admitted, Error> {
        let now = Instant::now();
        let mut state = self.lock();
        let probe = match *state {
            State::Closed { .. } => false,
            State::Open { until, rest } if until <= now => {
                self.turn(&mut state, State::HalfOpen { rest });
                true
            }
            State::Open { until, .. } => return Err(self.refuse(until - now)),
            State::HalfOpen { .. } => return Err(self.refuse(FIRST_REST)),
        };
        drop(state);
        Ok(Admitted { breaker: self, probe, settled: false })
    }

    fn refuse(&self, rest: Duration) -> Error {
        Error::not_sent(self.provider, "the circuit is open", Some(rest))
    }

    fn record(&self, probe: bool, verdict: Verdict) {
        let mut state = self.lock();
        let next = match (*state, probe, verdict) {
            (State::HalfOpen { .. }, true, Verdict::Alive) => State::Closed { failures: 0 },
            (State::HalfOpen { rest }, true, Verdict::Away) => {
                let rest = rest.saturating_mul(2).min(LONGEST_REST);
                State::Open { until: Instant::now() + rest, rest }
            }
            (State::HalfOpen { rest }, true, Verdict::Unknown) => State::Open { until: Instant::now(), rest },
            (State::Closed { .. }, false, Verdict::Alive) => State::Closed { failures: 0 },
            (State::Closed { failures }, false, Verdict::Away) if failures + 1 >= MAX_FAILURES => {
                State::Open { until: Instant::now() + FIRST_REST, rest: FIRST_REST }
            }
            (State::Closed { failures }, false, Verdict::Away) => State::Closed { failures: failures + 1 },
            // A call sent before the circuit opened says nothing about the present.
            (state, ..) => state,
        };
        if std::mem::discriminant(&next) == std::mem::discriminant(&state) {
            *state = next;
        } else {
            tracing::warn!(provider = self.provider, from = ?*state, to = ?next, "the circuit changed state");
            self.turn(&mut state, next);
        }
    }
}

/// What a call has shown about the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The provider answers.
    Alive,
    /// The provider does not answer.
    Away,
    /// The call has shown nothing.
    Unknown,
}

impl Verdict {
    fn of(result: &Result<Response, Error>) -> Self {
        match result.as_ref().map_err(|error| if error.is_replay() { Kind::Rejected } else { error.kind }) {
            Ok(_) | Err(Kind::RateLimited | Kind::Auth | Kind::Rejected) => Self::Alive,
            Err(Kind::Unavailable | Kind::TimedOut) => Self::Away,
            Err(Kind::NotSent) => Self::Unknown,
        }
    }
}

/// An admitted call.
pub struct Admitted {
    breaker: Arc<Breaker>,
    probe: bool,
    settled: bool,
}

impl Admitted {
    /// Records what the call has shown.
    pub fn settle(mut self, verdict: Verdict) {
        self.settled = true;
        self.breaker.record(self.probe, verdict);
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if !self.settled {
            self.breaker.record(self.probe, Verdict::Unknown);
        }
    }
}

impl Middleware for Arc<Breaker> {
    async fn handle<S: Next>(self, request: Request, next: S) -> Result<Response, Error> {
        let admitted = self.admit()?;
        let result = next.run(request).await;
        admitted.settle(Verdict::of(&result));
        result
    }
}
