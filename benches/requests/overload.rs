//! Goodput under overload: many callers, each with a separate connection, which send their next request as soon as the
//! last one is answered or rejected.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, TryStreamExt as _, future::try_join_all, stream};
use hdrhistogram::Histogram;

use crate::{
    calls::{Operation, STRIDE, Target},
    clients::{Client, Overloaded},
    comparison::{Comparison, Rate},
    contender::Contender,
    options::Options,
    rounds,
    world::World,
};

pub(crate) const OPERATIONS: [Operation; 2] = [Operation::Get, Operation::Create];

/// The warm-up time. The server rejects a request only after it has queued for this long, so there are no earlier
/// rejections.
const WARM_UP: Duration = Duration::from_secs(1);
/// The number of connections that are opened concurrently.
const CONNECT_CONCURRENCY: usize = 64;
/// The interval at which the memory is sampled.
const MEMORY_INTERVAL: Duration = Duration::from_millis(100);

/// The results of an operation under overload.
#[derive(Debug)]
pub(crate) struct Overload {
    /// Successes per second, compared to the peak of the same run.
    pub(crate) goodput: Comparison,
    /// Requests per second that were rejected or not answered in time.
    pub(crate) refused_per_second: f64,
    /// Latencies of the successes in microseconds.
    pub(crate) latency: Histogram<u64>,
    pub(crate) memory: Option<Memory>,
}

impl Overload {
    /// A latency of the successes in milliseconds.
    pub(crate) fn quantile_ms(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1e3
    }
}

/// The server's memory in MiB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) before: f64,
    /// With the connections, before their first request.
    pub(crate) connected: f64,
    /// The maximum during the overload.
    pub(crate) max: f64,
}

/// The outcomes of the requests so far.
#[derive(Debug)]
struct Outcomes {
    succeeded: AtomicU64,
    refusals: AtomicU64,
    latency: Mutex<Histogram<u64>>,
    is_over: AtomicBool,
}

impl Outcomes {
    fn new() -> anyhow::Result<Self> {
        let latency = Mutex::new(Histogram::new(3)?);
        Ok(Self { succeeded: AtomicU64::new(0), refusals: AtomicU64::new(0), latency, is_over: AtomicBool::new(false) })
    }

    /// The successes and the refusals.
    fn counts(&self) -> [f64; 2] {
        [&self.succeeded, &self.refusals].map(|count| count.load(Ordering::Relaxed) as f64)
    }

    fn record_success(&self, latency: Duration) {
        self.succeeded.fetch_add(1, Ordering::Relaxed);
        let mut latencies = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        latencies.record(latency.as_micros() as u64).expect("it grows with its values");
    }

    /// Returns the latencies so far, and resets them.
    fn take_latencies(&self) -> anyhow::Result<Histogram<u64>> {
        let mut latencies = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::replace(&mut *latencies, Histogram::new(3)?))
    }
}

/// Measures an operation over REST. The peak is the higher rate of two numbers of callers that do not overload the
/// server, one measured before and one after.
pub(crate) async fn run(world: &World, options: &Options, operation: Operation) -> anyhow::Result<Overload> {
    let (few, some) = (options.concurrency(), 4 * options.concurrency());
    let before = rate_without_overload(world, options, operation, few).await?;
    let memory = world.server.memory_mib();
    let callers = connect(world, options.callers()).await?;
    let connected = world.server.memory_mib();
    let outcomes = Arc::new(Outcomes::new()?);
    let tasks = callers.into_iter().enumerate().map(|(number, caller)| {
        let target = world.target.clone();
        tokio::spawn(call(caller, target, operation, number * STRIDE, outcomes.clone()))
    });
    let tasks: Vec<_> = tasks.collect();
    tokio::time::sleep(WARM_UP).await;
    outcomes.take_latencies()?;
    let (mut served, mut max, mut refusals, start) = (Vec::new(), connected, 0.0, Instant::now());
    for _ in 0..options.rounds() {
        let (round_start, cpu, [succeeded_before, refused_before]) =
            (Instant::now(), world.server.cpu(), outcomes.counts());
        while round_start.elapsed() < options.round() {
            tokio::time::sleep(MEMORY_INTERVAL).await;
            max = max.zip(world.server.memory_mib()).map(|(max, now)| max.max(now));
        }
        let (wall, [succeeded_after, refused_after]) = (round_start.elapsed(), outcomes.counts());
        let cpu = world.server.cpu().zip(cpu).map(|(after, before)| after - before);
        served.push(Rate { count: succeeded_after - succeeded_before, wall, cpu });
        refusals += refused_after - refused_before;
    }
    let (wall, latency) = (start.elapsed(), outcomes.take_latencies()?);
    outcomes.is_over.store(true, Ordering::Relaxed);
    for result in try_join_all(tasks).await? {
        result?;
    }
    let after = rate_without_overload(world, options, operation, some).await?;
    let (peak, callers) = if before.per_second() > after.per_second() { (before, few) } else { (after, some) };
    let goodput = Comparison {
        name: format!("{}, {} callers", operation.name(), options.callers()),
        limit: format!("the peak, {callers} callers"),
        alone: vec![peak; served.len()],
        served,
    };
    let memory = memory.zip(connected).zip(max);
    let memory = memory.map(|((before, connected), max)| Memory { before, connected, max });
    Ok(Overload { goodput, refused_per_second: refusals / wall.as_secs_f64(), latency, memory })
}

async fn rate_without_overload(
    world: &World,
    options: &Options,
    operation: Operation,
    callers: usize,
) -> anyhow::Result<Rate> {
    let clients = vec![Contender::Rest1.client(world).await?; callers];
    let measurement = rounds::measure(world, Contender::Rest1, clients, operation, options.round()).await?;
    Ok(Rate::from(&measurement))
}

/// Opens the connections of this many callers.
pub(crate) async fn connect(world: &World, callers: usize) -> anyhow::Result<Vec<Client>> {
    let connected = stream::iter(0..callers).map(|_| async {
        let mut caller = Contender::Rest1.client(world).await?;
        caller.open().await?;
        Ok(caller)
    });
    connected.buffer_unordered(CONNECT_CONCURRENCY).try_collect().await
}

async fn call(
    mut caller: Client,
    target: Target,
    operation: Operation,
    first: usize,
    outcomes: Arc<Outcomes>,
) -> anyhow::Result<()> {
    for number in first.. {
        if outcomes.is_over.load(Ordering::Relaxed) {
            break;
        }
        let start = Instant::now();
        match caller.call(&target, operation, number).await {
            Ok(()) => outcomes.record_success(start.elapsed()),
            Err(error) if error.is::<Overloaded>() => {
                outcomes.refusals.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
