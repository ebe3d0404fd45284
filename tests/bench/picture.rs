//! The pictures of the curves.

use std::{collections::BTreeSet, fs, path::Path};

use crate::{
    curve::{Curve, Latency, OpenPoint},
    figures::Run,
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

#[test]
fn the_pictures_of_the_document_are_those_of_the_baseline() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let baseline: Run = serde_json::from_str(&read(&root.join("benches/baseline.json"))).expect("figures of a run");
    let document = read(&root.join("docs/performance.md"));
    let pictures = draw(&baseline.curves);
    for (name, svg) in &pictures {
        assert_eq!(*svg, read(&root.join("docs/curves").join(name)), "`make bench ARGS=--draw` draws {name}");
        assert!(document.contains(&format!("](curves/{name})")), "docs/performance.md shows {name}");
    }
    let files = fs::read_dir(root.join("docs/curves")).expect("pictures").flatten();
    let files: BTreeSet<_> = files.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(files, pictures.into_iter().map(|(name, _)| name).collect(), "each file is a picture of the baseline");
}
