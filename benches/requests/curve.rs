//! The points of the curves.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The curves of an operation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Curve {
    pub(crate) operation: String,
    pub(crate) closed: Vec<ClosedPoint>,
    pub(crate) open: Vec<OpenPoint>,
}

impl Curve {
    /// The highest rate of the closed loop.
    pub(crate) fn peak(&self) -> f64 {
        self.closed.iter().map(|point| point.requests_per_second).fold(0.0, f64::max)
    }
}

/// A number of connections, each of which sends its next request after the response to the last one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClosedPoint {
    pub(crate) connections: usize,
    pub(crate) requests_per_second: f64,
    pub(crate) latency: Latency,
    /// CPU time of the server per request, in milliseconds.
    pub(crate) server_cpu_ms: Option<f64>,
    /// CPU time of Postgres per request, in milliseconds.
    pub(crate) postgres_cpu_ms: Option<f64>,
}

/// A rate of requests that does not depend on the responses.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OpenPoint {
    pub(crate) offered_per_second: f64,
    pub(crate) answered_per_second: f64,
    /// The rejected requests, which have no latency.
    pub(crate) refused: u64,
    /// The latencies of the successes since their scheduled times.
    pub(crate) latency: Latency,
}

/// Quantiles in milliseconds. A quantile that no measured latency exceeds is absent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Latency {
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    pub(crate) p999_ms: Option<f64>,
}

impl From<&Histogram<u64>> for Latency {
    /// The histogram is in microseconds.
    fn from(latency: &Histogram<u64>) -> Self {
        let quantile = |beyond: u64, quantile: f64| {
            (latency.len() >= beyond).then(|| latency.value_at_quantile(quantile) as f64 / 1e3)
        };
        Self { p50_ms: quantile(2, 0.5), p99_ms: quantile(100, 0.99), p999_ms: quantile(1000, 0.999) }
    }
}
