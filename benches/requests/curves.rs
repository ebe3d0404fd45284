//! The curves: rate and CPU time over connections in a closed loop, latency over offered load in an open loop. Requests
//! are REST over HTTP/1.1, where a connection has one request in flight.

use crate::{
    calls::{Operation, Target},
    clients::{Client, Overloaded},
    contender::Contender,
    curve::{ClosedPoint, Curve, Latency, OpenPoint},
    load::Measurement,
    open_loop::{self, Caller, Schedule},
    options::Options,
    overload::connect,
    rounds::measure,
    world::World,
};

/// The operations, each with its highest number of connections in the closed loop.
pub(crate) const OPERATIONS: [(Operation, usize); 4] =
    [(Operation::Get, 256), (Operation::GetPost, 256), (Operation::Create, 256), (Operation::Charge, 64)];

/// The connections of the open loop.
const OPEN_CONNECTIONS: usize = 256;
/// The offered rates, as multiples of the peak of the closed loop.
const LOADS: [f64; 9] = [0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.1, 1.2];
const QUICK_LOADS: [f64; 3] = [0.4, 0.8, 1.2];

pub(crate) async fn run(world: &World, options: &Options, operation: Operation, most: usize) -> anyhow::Result<Curve> {
    let closed = closed(world, options, operation, most).await?;
    let mut curve = Curve { operation: operation.name().to_owned(), closed, open: Vec::new() };
    let peak = curve.peak();
    for load in if options.is_quick() { QUICK_LOADS.as_slice() } else { &LOADS } {
        curve.open.push(open(world, options, operation, peak * load).await?);
    }
    Ok(curve)
}

/// Measures each number of connections twice, upwards and downwards, after a warm-up. The curve ends before the first
/// number with which the server refuses requests, because refusals are cheap.
async fn closed(
    world: &World,
    options: &Options,
    operation: Operation,
    most: usize,
) -> anyhow::Result<Vec<ClosedPoint>> {
    let step = if options.is_quick() { 4 } else { 1 };
    let connections: Vec<_> = (0..=most.ilog2()).step_by(step).map(|power| 1_usize << power).collect();
    let mut sums = vec![Measurement::none(); connections.len()];
    let at = async |connections| {
        let clients = connect(world, connections).await?;
        measure(world, Contender::Rest1, clients, operation, options.round()).await
    };
    at(options.concurrency()).await?;
    for index in (0..connections.len()).chain((0..connections.len()).rev()) {
        let Some(sum) = sums.get_mut(index) else { continue };
        match at(connections[index]).await {
            Ok(measurement) => sum.add(&measurement),
            Err(error) if error.is::<Overloaded>() => {
                sums.truncate(index);
                // The other connections end with the round.
                tokio::time::sleep(options.round()).await;
            }
            Err(error) => return Err(error),
        }
    }
    let point = |(connections, sum): (usize, Measurement)| ClosedPoint {
        connections,
        requests_per_second: sum.per_second(),
        latency: Latency::from(&sum.latency),
        server_cpu_ms: sum.cpu_ms().map(|ms| ms / 1e3),
        // A cached post has no statements: the time would be that of autovacuum.
        postgres_cpu_ms: sum.postgres_ms().filter(|_| operation != Operation::GetPost).map(|ms| ms / 1e3),
    };
    Ok(connections.into_iter().zip(sums).map(point).collect())
}

async fn open(world: &World, options: &Options, operation: Operation, per_second: f64) -> anyhow::Result<OpenPoint> {
    let clients = connect(world, OPEN_CONNECTIONS).await?;
    let connection = |client| Connection { client, target: world.target.clone(), operation };
    let schedule = Schedule { per_second, length: options.round() };
    let outcomes = open_loop::run(clients.into_iter().map(connection).collect(), schedule).await?;
    Ok(OpenPoint {
        offered_per_second: per_second,
        answered_per_second: outcomes.per_second(),
        refused: outcomes.refused,
        latency: Latency::from(&outcomes.latency),
    })
}

struct Connection {
    client: Client,
    target: Target,
    operation: Operation,
}

impl Caller for Connection {
    async fn call(&mut self, number: usize) -> anyhow::Result<bool> {
        match self.client.call(&self.target, self.operation, number).await {
            Ok(()) => Ok(true),
            Err(error) if error.is::<Overloaded>() => Ok(false),
            Err(error) => Err(error),
        }
    }
}
