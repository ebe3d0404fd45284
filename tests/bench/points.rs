//! The points of curves.

use hdrhistogram::Histogram;

use crate::curve::{ClosedPoint, Curve, Latency};

#[test]
fn a_quantile_needs_a_latency_beyond_it() {
    let mut latency = Histogram::new(3).expect("three digits are allowed");
    latency.record_n(2000, 99).expect("it grows with its values");
    assert_eq!(Latency::from(&latency), Latency { p50_ms: Some(2.0), p99_ms: None, p999_ms: None });
    latency.record_n(2000, 901).expect("it grows with its values");
    assert_eq!(Latency::from(&latency), Latency { p50_ms: Some(2.0), p99_ms: Some(2.0), p999_ms: Some(2.0) });
}

#[test]
fn the_peak_may_be_in_the_middle() {
    let none = Latency { p50_ms: None, p99_ms: None, p999_ms: None };
    let point = |(connections, requests_per_second)| ClosedPoint {
        connections,
        requests_per_second,
        latency: none,
        server_cpu_ms: None,
        postgres_cpu_ms: None,
    };
    let closed = [(1, 10.0), (2, 30.0), (4, 20.0)].map(point).into();
    let curve = Curve { operation: "get".to_owned(), closed, open: Vec::new() };
    assert_eq!(curve.peak(), 30.0);
}
