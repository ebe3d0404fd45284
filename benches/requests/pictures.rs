//! The diagrams of the curves.

use crate::{
    curve::{ClosedPoint, Curve, OpenPoint},
    svg::{Axis, Diagram, Line, Scale},
};

/// Returns the names of the files, and their contents.
pub(crate) fn draw(curves: &[Curve]) -> Vec<(String, String)> {
    let mut diagrams = vec![
        ("rate".to_owned(), closed(curves, "Rate", "requests per second", |point| Some(point.requests_per_second))),
        (
            "server-cpu".to_owned(),
            closed(curves, "CPU time of the server", "ms per request", |point| point.server_cpu_ms),
        ),
        (
            "postgres-cpu".to_owned(),
            closed(curves, "CPU time of Postgres", "ms per request", |point| point.postgres_cpu_ms),
        ),
    ];
    // The disk bounds the rate of charges, and a logarithmic axis would hide by how much concurrency helps.
    let charge = curves.iter().find(|curve| curve.operation == "charge");
    diagrams.extend(charge.map(|curve| ("rate-charge".to_owned(), rate(curve))));
    for curve in curves {
        let letter = |character: char| if character.is_ascii_alphanumeric() { character } else { '-' };
        let name = curve.operation.chars().map(letter).collect::<String>().replace("--", "-");
        diagrams.push((format!("latency-{name}"), latency(curve)));
    }
    diagrams.into_iter().filter_map(|(name, diagram)| Some((format!("{name}.svg"), diagram.draw()?))).collect()
}

/// A figure of all operations over the connections.
fn closed(curves: &[Curve], title: &str, unit: &'static str, figure: impl Fn(&ClosedPoint) -> Option<f64>) -> Diagram {
    let line = |curve: &Curve| Line {
        name: curve.operation.clone(),
        points: curve.closed.iter().filter_map(|point| Some((point.connections as f64, figure(point)?))).collect(),
    };
    Diagram {
        title: format!("{title} over connections"),
        x: Axis { title: "connections, one request at a time on each", scale: Scale::Binary },
        y: Axis { title: unit, scale: Scale::Decimal },
        lines: curves.iter().map(line).collect(),
    }
}

/// The rate of one operation over the connections, from 0.
fn rate(curve: &Curve) -> Diagram {
    let mut diagram =
        closed(std::slice::from_ref(curve), "Rate", "requests per second", |point| Some(point.requests_per_second));
    diagram.title = format!("Rate over connections: {}", curve.operation);
    diagram.y.scale = Scale::Linear;
    diagram
}

/// Latencies of an operation over the offered rate.
fn latency(curve: &Curve) -> Diagram {
    let line = |name: &str, quantile: fn(&OpenPoint) -> Option<f64>| Line {
        name: name.to_owned(),
        points: curve.open.iter().filter_map(|point| Some((point.offered_per_second, quantile(point)?))).collect(),
    };
    Diagram {
        title: format!("Latency over offered load: {}", curve.operation),
        x: Axis { title: "offered requests per second", scale: Scale::Linear },
        y: Axis { title: "ms since the scheduled time", scale: Scale::Decimal },
        lines: vec![
            line("99.9th percentile", |point| point.latency.p999_ms),
            line("99th percentile", |point| point.latency.p99_ms),
            line("median", |point| point.latency.p50_ms),
        ],
    }
}
