//! Starts requests at a fixed rate.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::watch, task::JoinSet};

use super::{
    mix::{self, Mix, Outcome},
    until,
};

/// Requests beyond this number in flight are not sent but count as rejected, which bounds the driver's memory and
/// connections.
const MAX_IN_FLIGHT: usize = 4000;

/// A part of the run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Phase {
    pub(super) name: &'static str,
    pub(super) length: Duration,
    /// The multiple of the rate, until the fault ends.
    pub(super) factor: f64,
}

#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) due: Instant,
    pub(super) took: Duration,
    pub(super) is_write: bool,
    pub(super) outcome: Outcome,
}

/// A phase, and its results.
#[derive(Debug)]
pub(super) struct PhaseResult {
    pub(super) phase: Phase,
    pub(super) began: Instant,
    /// The end of the fault.
    pub(super) end: Instant,
    pub(super) samples: Vec<Sample>,
}

pub(super) struct Driver {
    mix: Arc<Mix>,
    rate: f64,
    /// How long requests continue after a fault has ended.
    tail: Duration,
    number: AtomicUsize,
}

impl Driver {
    pub(super) fn new(mix: Arc<Mix>, rate: f64, tail: Duration) -> Self {
        Self { mix, rate, tail, number: AtomicUsize::new(0) }
    }

    /// Lets callers send sequential requests for the length of the phase, to measure the capacity of the servers.
    pub(super) async fn saturate(&self, phase: Phase, callers: usize) -> PhaseResult {
        let began = Instant::now();
        let repeat = async || {
            let mut samples = Vec::new();
            while began.elapsed() < phase.length {
                let due = Instant::now();
                let number = self.number.fetch_add(1, Ordering::Relaxed);
                let outcome = self.mix.request(number).await;
                samples.push(Sample { due, took: due.elapsed(), is_write: mix::is_write(number), outcome });
            }
            samples
        };
        let samples = futures_util::future::join_all((0..callers).map(|_| repeat())).await;
        PhaseResult { phase, began, end: Instant::now(), samples: samples.into_iter().flatten().collect() }
    }

    /// Sends requests during a fault, for at least the length of the phase, and for a while after. The next phase
    /// begins when all are answered.
    pub(super) async fn run<T>(&self, phase: Phase, fault: impl Future<Output = T>) -> PhaseResult {
        let (end, receiver) = watch::channel(None);
        let began = Instant::now();
        let strike = async move {
            fault.await;
            end.send_replace(Some(Instant::now()));
            end
        };
        let (_end, samples) = tokio::join!(strike, self.send(phase, began, receiver.clone()));
        let end = receiver.borrow().expect("the fault has ended");
        PhaseResult { phase, began, end, samples }
    }

    async fn send(&self, phase: Phase, began: Instant, receiver: watch::Receiver<Option<Instant>>) -> Vec<Sample> {
        let (samples, in_flight) = (Arc::<Mutex<Vec<Sample>>>::default(), Arc::<AtomicUsize>::default());
        let mut requests = JoinSet::new();
        let mut due = began;
        loop {
            until(due).await;
            let end = *receiver.borrow();
            if due >= began + phase.length && end.is_some_and(|end| due >= end + self.tail) {
                break;
            }
            let factor = if end.is_none() { phase.factor } else { 1.0 };
            let number = self.number.fetch_add(1, Ordering::Relaxed);
            let is_write = mix::is_write(number);
            if in_flight.load(Ordering::Relaxed) < MAX_IN_FLIGHT {
                let (mix, samples, in_flight) = (self.mix.clone(), samples.clone(), in_flight.clone());
                in_flight.fetch_add(1, Ordering::Relaxed);
                requests.spawn(async move {
                    let outcome = mix.request(number).await;
                    in_flight.fetch_sub(1, Ordering::Relaxed);
                    // Measured from the due time, so that a late driver does not distort the result (coordinated
                    // omission).
                    let took = due.elapsed();
                    samples.lock().expect("no panic").push(Sample { due, took, is_write, outcome });
                });
            } else {
                let sample = Sample { due, took: Duration::ZERO, is_write, outcome: Outcome::Refused };
                samples.lock().expect("no panic").push(sample);
            }
            while requests.try_join_next().is_some() {}
            due += Duration::from_secs_f64(1.0 / (self.rate * factor));
        }
        while let Some(request) = requests.join_next().await {
            request.expect("no request panicked");
        }
        let mut samples = std::mem::take(&mut *samples.lock().expect("no panic"));
        samples.sort_by_key(|sample| sample.due);
        samples
    }
}
