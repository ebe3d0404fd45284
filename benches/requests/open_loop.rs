//! An open loop: requests start at scheduled times, independently of responses. The latency of a request counts from its
//! scheduled time, so a request that waits because earlier ones are slow is measured with its wait. A closed loop would
//! send fewer requests instead, and so omit the wait (coordinated omission).

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use tokio::{runtime::Handle, sync::Semaphore, task::JoinSet};

/// Requests at equal intervals.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    pub(crate) per_second: f64,
    pub(crate) length: Duration,
}

impl Schedule {
    /// The number of requests, at least one.
    pub(crate) fn count(self) -> usize {
        ((self.per_second * self.length.as_secs_f64()).round() as usize).max(1)
    }

    /// The time of a request, since the start.
    pub(crate) fn due(self, number: usize) -> Duration {
        Duration::from_secs_f64(number as f64 / self.per_second)
    }
}

/// A connection that takes one request at a time.
pub(crate) trait Caller: Send + 'static {
    /// Sends the request of a number; returns whether it was answered, or refused.
    fn call(&mut self, number: usize) -> impl Future<Output = anyhow::Result<bool>> + Send;
}

/// The outcomes of an open loop.
#[derive(Debug)]
pub(crate) struct Outcomes {
    /// The time from the first request to the last response.
    pub(crate) wall: Duration,
    /// Latencies of the successes since their scheduled times, in microseconds.
    pub(crate) latency: Histogram<u64>,
    pub(crate) refused: u64,
}

impl Outcomes {
    /// Successes per second.
    pub(crate) fn per_second(&self) -> f64 {
        self.latency.len() as f64 / self.wall.as_secs_f64()
    }
}

/// The connections, which requests take in turn.
struct Pool<C> {
    free: Semaphore,
    callers: Mutex<Vec<C>>,
    /// The latencies and the number of refusals.
    outcomes: Mutex<(Histogram<u64>, u64)>,
}

impl<C: Caller> Pool<C> {
    async fn call(self: Arc<Self>, number: usize, due: Instant) -> anyhow::Result<()> {
        // Requests take connections in the order of their times.
        let _permit = self.free.acquire().await?;
        let mut caller = lock(&self.callers).pop().context("a permit stands for a connection")?;
        let is_answered = caller.call(number).await?;
        let latency = due.elapsed();
        lock(&self.callers).push(caller);
        let mut outcomes = lock(&self.outcomes);
        if is_answered {
            outcomes.0.record(latency.as_micros() as u64)?;
        } else {
            outcomes.1 += 1;
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends all requests of a schedule, and waits for their responses. A request waits while no connection is free. Any
/// error, except a refusal, ends the measurement.
pub(crate) async fn run<C: Caller>(callers: Vec<C>, schedule: Schedule) -> anyhow::Result<Outcomes> {
    let free = Semaphore::new(callers.len());
    let outcomes = Mutex::new((Histogram::new(3)?, 0));
    let pool = Arc::new(Pool { free, callers: Mutex::new(callers), outcomes });
    let (runtime, start) = (Handle::current(), Instant::now());
    let calls = pool.clone();
    let mut calls = tokio::task::spawn_blocking(move || {
        let mut sent = JoinSet::new();
        for number in 0..schedule.count() {
            let due = start + schedule.due(number);
            sleep_until(due);
            sent.spawn_on(calls.clone().call(number, due), &runtime);
        }
        sent
    })
    .await?;
    while let Some(call) = calls.join_next().await {
        call??;
    }
    let wall = start.elapsed();
    let pool = Arc::into_inner(pool).context("all calls have ended")?;
    let (latency, refused) = pool.outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Outcomes { wall, latency, refused })
}

#[expect(
    clippy::disallowed_methods,
    reason = "tokio's timers have a resolution of a millisecond; this thread is not the runtime's"
)]
fn sleep_until(due: Instant) {
    if let Some(wait) = due.checked_duration_since(Instant::now()) {
        std::thread::sleep(wait);
    }
}
