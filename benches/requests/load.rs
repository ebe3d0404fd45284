//! A closed loop: a fixed number of requests in flight; each response starts the next request.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use hdrhistogram::Histogram;

use crate::{
    calls::{Operation, STRIDE, Target},
    clients::Client,
};

/// The result of a contender in one or more rounds.
#[derive(Debug, Clone)]
pub(crate) struct Measurement {
    /// Latencies in microseconds.
    pub(crate) latency: Histogram<u64>,
    /// The duration.
    pub(crate) wall: Duration,
    /// CPU time of the server.
    pub(crate) cpu: Option<Duration>,
    /// CPU time of Postgres.
    pub(crate) postgres: Option<Duration>,
}

impl Measurement {
    pub(crate) fn none() -> Self {
        let latency = Histogram::new(3).expect("three digits are allowed");
        let none = Some(Duration::ZERO);
        Self { latency, wall: Duration::ZERO, cpu: none, postgres: none }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.latency.add(&other.latency).expect("the same digits");
        self.wall += other.wall;
        self.cpu = self.cpu.zip(other.cpu).map(|(a, b)| a + b);
        self.postgres = self.postgres.zip(other.postgres).map(|(a, b)| a + b);
    }

    pub(crate) fn requests(&self) -> f64 {
        self.latency.len() as f64
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.requests() / self.wall.as_secs_f64()
    }

    /// Milliseconds of server CPU per 1,000 requests.
    pub(crate) fn cpu_ms(&self) -> Option<f64> {
        Some(self.cpu?.as_secs_f64() * 1e6 / self.requests())
    }

    /// Milliseconds of Postgres' CPU per 1,000 requests.
    pub(crate) fn postgres_ms(&self) -> Option<f64> {
        Some(self.postgres?.as_secs_f64() * 1e6 / self.requests())
    }

    /// A latency in milliseconds.
    pub(crate) fn quantile_ms(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1e3
    }
}

/// Runs `clients`, each with one request in flight, for `length`. Any error response ends the measurement, because
/// errors are cheap and counting them would distort the result.
pub(crate) async fn run(
    clients: Vec<Client>,
    target: &Target,
    operation: Operation,
    length: Duration,
) -> anyhow::Result<Measurement> {
    let start = Instant::now();
    let workers = clients.into_iter().enumerate().map(|(number, client)| {
        let target = target.clone();
        tokio::spawn(worker(client, target, operation, start + length, number * STRIDE))
    });
    let workers: Vec<_> = workers.collect();
    // The caller adds CPU times if it measures them.
    let mut measurement = Measurement { cpu: None, postgres: None, ..Measurement::none() };
    for latency in try_join_all(workers).await? {
        measurement.latency.add(&latency?)?;
    }
    measurement.wall = start.elapsed();
    Ok(measurement)
}

async fn worker(
    mut client: Client,
    target: Target,
    operation: Operation,
    end: Instant,
    first: usize,
) -> anyhow::Result<Histogram<u64>> {
    let mut latency = Histogram::new(3)?;
    let mut number = first;
    let mut start = Instant::now();
    while start < end {
        client.call(&target, operation, number).await?;
        let answered = Instant::now();
        latency.record((answered - start).as_micros() as u64)?;
        start = answered;
        number += 1;
    }
    Ok(latency)
}
