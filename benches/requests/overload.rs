//! Goodput under overload: many callers, each with a connection of its own, who repeat at once whatever is answered.

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
    load,
    options::Options,
    world::World,
};

pub(crate) const OPERATIONS: [Operation; 2] = [Operation::Get, Operation::Create];

/// As long as a request waits before the server refuses it: before that, none is refused.
const WARM_UP: Duration = Duration::from_secs(1);
/// The connections that are opened at once.
const CONNECT_CONCURRENCY: usize = 64;
/// How often the memory is read.
const EVERY: Duration = Duration::from_millis(100);

/// The result.
#[derive(Debug)]
pub(crate) struct Overload {
    /// Successes per second, beside the peak of the same run.
    pub(crate) goodput: Comparison,
    /// Refused, or not answered in time.
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
    /// The most during the overload.
    pub(crate) most: f64,
}

/// What became of the requests so far.
#[derive(Debug)]
struct Answers {
    good: AtomicU64,
    refused: AtomicU64,
    latency: Mutex<Histogram<u64>>,
    is_over: AtomicBool,
}

impl Answers {
    fn new() -> anyhow::Result<Self> {
        let latency = Mutex::new(Histogram::new(3)?);
        Ok(Self { good: AtomicU64::new(0), refused: AtomicU64::new(0), latency, is_over: AtomicBool::new(false) })
    }

    fn counts(&self) -> [f64; 2] {
        [&self.good, &self.refused].map(|count| count.load(Ordering::Relaxed) as f64)
    }

    fn succeeded(&self, latency: Duration) {
        self.good.fetch_add(1, Ordering::Relaxed);
        let mut latencies = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        latencies.record(latency.as_micros() as u64).expect("it grows with its values");
    }

    /// Forgets the latencies so far, and returns them.
    fn latencies(&self) -> anyhow::Result<Histogram<u64>> {
        let mut latencies = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::replace(&mut *latencies, Histogram::new(3)?))
    }
}

/// Measures an operation over REST. The peak is the higher rate of two numbers of callers that do not overload the server,
/// one before and one after.
pub(crate) async fn run(world: &World, options: &Options, operation: Operation) -> anyhow::Result<Overload> {
    let (few, some) = (options.concurrency(), 4 * options.concurrency());
    let before = calm(world, options, operation, few).await?;
    let memory = world.server.memory_mib();
    let callers = connect(world, options.callers()).await?;
    let connected = world.server.memory_mib();
    let answers = Arc::new(Answers::new()?);
    let calling = callers.into_iter().enumerate().map(|(number, caller)| {
        let target = world.target.clone();
        tokio::spawn(call(caller, target, operation, number * STRIDE, answers.clone()))
    });
    let calling: Vec<_> = calling.collect();
    tokio::time::sleep(WARM_UP).await;
    answers.latencies()?;
    let (mut served, mut most, mut refused, began) = (Vec::new(), connected, 0.0, Instant::now());
    for _ in 0..options.rounds() {
        let (began, cpu, [good_before, refused_before]) = (Instant::now(), world.server.cpu(), answers.counts());
        while began.elapsed() < options.round() {
            tokio::time::sleep(EVERY).await;
            most = most.zip(world.server.memory_mib()).map(|(most, now)| most.max(now));
        }
        let (wall, [good_after, refused_after]) = (began.elapsed(), answers.counts());
        let cpu = world.server.cpu().zip(cpu).map(|(after, before)| after - before);
        served.push(Rate { count: good_after - good_before, wall, cpu });
        refused += refused_after - refused_before;
    }
    let (wall, latency) = (began.elapsed(), answers.latencies()?);
    answers.is_over.store(true, Ordering::Relaxed);
    for ended in try_join_all(calling).await? {
        ended?;
    }
    let after = calm(world, options, operation, some).await?;
    let (peak, callers) = if before.per_second() > after.per_second() { (before, few) } else { (after, some) };
    let goodput = Comparison {
        name: format!("{}, {} callers", operation.name(), options.callers()),
        limit: format!("the peak, {callers} callers"),
        alone: vec![peak; served.len()],
        served,
    };
    let memory = memory.zip(connected).zip(most);
    let memory = memory.map(|((before, connected), most)| Memory { before, connected, most });
    Ok(Overload { goodput, refused_per_second: refused / wall.as_secs_f64(), latency, memory })
}

async fn calm(world: &World, options: &Options, operation: Operation, callers: usize) -> anyhow::Result<Rate> {
    let clients = vec![Contender::Rest1.client(world).await?; callers];
    let cpu = world.server.cpu();
    let mut measurement = load::run(&clients, &world.target, operation, options.round()).await?;
    measurement.cpu = world.server.cpu().zip(cpu).map(|(after, before)| after - before);
    Ok(Rate::from(&measurement))
}

/// Opens the connections of this many callers.
async fn connect(world: &World, callers: usize) -> anyhow::Result<Vec<Client>> {
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
    answers: Arc<Answers>,
) -> anyhow::Result<()> {
    for number in first.. {
        if answers.is_over.load(Ordering::Relaxed) {
            break;
        }
        let sent = Instant::now();
        match caller.call(&target, operation, number).await {
            Ok(()) => answers.succeeded(sent.elapsed()),
            Err(error) if error.is::<Overloaded>() => {
                answers.refused.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
