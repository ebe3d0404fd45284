//! The command line options.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};

use crate::figures::Conditions;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    /// Requests, and the jobs of the webhooks among them.
    Requests,
    /// Pages of a list.
    Pages,
    /// Goodput under overload.
    Overload,
    /// Sign-ins.
    SignIns,
    /// Imports of CSV files.
    Imports,
    /// Deliveries of webhooks.
    Deliveries,
    /// Requests whose traces are exported.
    Traces,
    /// Rates over connections, and latencies over offered load.
    Curves,
}

/// Measures requests per second, latency and CPU time, compared to a bare server and pgbench.
#[derive(Debug, Clone, Parser)]
pub(crate) struct Options {
    /// Shorter rounds and fewer tickets; shows whether the bench runs, not reliable numbers.
    #[arg(long)]
    quick: bool,
    /// Measure only this; may be given several times.
    #[arg(long, value_enum, value_name = "SUBJECT")]
    only: Vec<Subject>,
    /// Tickets in the table [default: 1000000; quick: 100000].
    #[arg(long, env = "BENCH_TICKETS")]
    tickets: Option<u32>,
    /// Rounds of each contender and operation [default: 6; quick: 2].
    #[arg(long, env = "BENCH_ROUNDS")]
    rounds: Option<u32>,
    /// Length of a round [default: 4; quick: 1].
    #[arg(long, env = "BENCH_SECONDS")]
    seconds: Option<f64>,
    /// Connections of the load generator; HTTP/1.1 opens one per request in flight instead.
    #[arg(long, default_value_t = 4)]
    pub(crate) connections: usize,
    /// Requests in flight on each connection.
    #[arg(long, default_value_t = 4)]
    pub(crate) in_flight: usize,
    /// Connections to Postgres, for each server.
    #[arg(long, default_value_t = 16)]
    pub(crate) pool: u32,
    /// The RUST_LOG of the server; `off` shows the cost of its log lines.
    #[arg(long, default_value = "info")]
    pub(crate) log: String,
    /// Write the figures to this file instead of one in cargo's target directory, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Compare with the figures in this file instead of those in benches/baseline.json.
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,
    /// Replace benches/baseline.json, and the pictures in docs/curves, by the figures of this run.
    #[arg(long, conflicts_with = "only")]
    pub(crate) save_baseline: bool,
    /// Only draw the pictures in docs/curves from the figures in benches/baseline.json.
    #[arg(long)]
    pub(crate) draw: bool,
    /// Also print the scripts of pgbench: the recorded statements of each operation.
    #[arg(long)]
    pub(crate) show_statements: bool,
    /// Serve as the bare server on this Postgres; used when this program starts itself.
    #[arg(long, hide = true)]
    pub(crate) bare: Option<String>,
    /// Check tokens by the keys of the server at this URL, limit requests and log them, as the careful server.
    #[arg(long, hide = true, requires = "redis")]
    pub(crate) keys: Option<String>,
    /// The Redis of the careful server.
    #[arg(long, hide = true)]
    pub(crate) redis: Option<String>,
    /// The port of the bare server.
    #[arg(long, hide = true, default_value_t = 0)]
    pub(crate) port: u16,
    /// Cargo passes this flag to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    pub(crate) fn measures(&self, subject: Subject) -> bool {
        self.only.is_empty() || self.only.contains(&subject)
    }

    pub(crate) fn is_quick(&self) -> bool {
        self.quick
    }

    pub(crate) fn tickets(&self) -> u32 {
        self.tickets.unwrap_or(if self.quick { 100_000 } else { 1_000_000 })
    }

    /// Unpaid orders for the servers; pgbench has as many.
    pub(crate) fn orders(&self) -> u32 {
        if self.quick { 20_000 } else { 200_000 }
    }

    pub(crate) fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 2 } else { 6 })
    }

    pub(crate) fn round(&self) -> Duration {
        Duration::from_secs_f64(self.seconds.unwrap_or(if self.quick { 1.0 } else { 4.0 }))
    }

    /// Callers of an overloaded server, each on a connection of its own.
    pub(crate) fn callers(&self) -> usize {
        if self.quick { 1_000 } else { 3_000 }
    }

    /// Rows of an imported file.
    pub(crate) fn imported_rows(&self) -> usize {
        if self.quick { 5_000 } else { 50_000 }
    }

    /// Tickets of which each endpoint is told in a round.
    pub(crate) fn announced_tickets(&self) -> usize {
        if self.quick { 100 } else { 500 }
    }

    pub(crate) fn conditions(&self) -> Conditions {
        Conditions {
            tickets: self.tickets(),
            rounds: self.rounds(),
            round_seconds: self.round().as_secs_f64(),
            connections: self.connections,
            in_flight: self.in_flight,
            pool: self.pool,
            log: self.log.clone(),
        }
    }

    /// Requests in flight, for every protocol.
    pub(crate) fn concurrency(&self) -> usize {
        self.connections * self.in_flight
    }
}
