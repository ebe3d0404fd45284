//! The pictures of the curves.

use crate::{
    curve::{Curve, Latency, OpenPoint},
    pictures::draw,
};

#[test]
fn each_operation_has_its_latencies() {
    let latency = |p50_ms| Latency { p50_ms: Some(p50_ms), p99_ms: Some(2.0 * p50_ms), p999_ms: None };
    let point = |offered_per_second| OpenPoint {
        offered_per_second,
        answered_per_second: offered_per_second,
        refused: 0,
        latency: latency(offered_per_second),
    };
    let open = vec![point(100.0), point(200.0)];
    let curve = Curve { operation: "post, cached".to_owned(), closed: Vec::new(), open };
    let pictures = draw(&[curve]);
    assert_eq!(pictures.len(), 1, "no picture is empty: {pictures:?}");
    let (name, svg) = &pictures[0];
    assert_eq!(name, "latency-post-cached.svg");
    assert!(svg.contains(">median<") && svg.contains(">99th percentile<") && !svg.contains("99.9th"), "{svg}");
}
