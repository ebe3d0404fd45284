//! The metrics, and the recorder behind `/metrics`.
//!
//! Every metric is declared with its meaning and its labels. At the start, they are described to Prometheus and their series
//! made, because a counter that begins at 1 shows no increase.

mod kernel;

pub(crate) use kernel::METRICS as KERNEL_METRICS;

use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// Upper bounds of the latency buckets, in seconds; dense where the limits of agreements are, from 0.25 s to 5 s.
const BUCKETS: [f64; 19] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.5, 5.0, 10.0, 30.0];

const UPKEEP: std::time::Duration = std::time::Duration::from_secs(5);

/// A metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// The name; it ends with the unit, and a counter with `_total`.
    pub name: &'static str,
    /// Its meaning.
    pub help: &'static str,
    kind: Kind,
    labels: &'static [(&'static str, &'static [&'static str])],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Metric {
    /// Declares a counter.
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: Kind::Counter, labels: &[] }
    }

    /// Declares a gauge.
    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: Kind::Gauge, labels: &[] }
    }

    /// Declares a histogram of seconds.
    pub const fn histogram(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: Kind::Histogram, labels: &[] }
    }

    /// Declares the labels, with the values that have a series from the start. A label without values has its series made
    /// when they occur.
    #[must_use]
    pub const fn labels(mut self, labels: &'static [(&'static str, &'static [&'static str])]) -> Self {
        self.labels = labels;
        self
    }

    pub(crate) fn register(&self) {
        match self.kind {
            Kind::Counter => metrics::describe_counter!(self.name, self.help),
            Kind::Gauge => metrics::describe_gauge!(self.name, self.help),
            Kind::Histogram => metrics::describe_histogram!(self.name, self.help),
        }
        self.touch_all();
    }

    /// Makes the series of a method, a job, a scheduled task or a provider exist, by the name of its label.
    pub(crate) fn touch(&self, label: &'static str, value: &'static str) {
        let [(own, []), others @ ..] = self.labels else { return };
        match (self.kind, others) {
            _ if *own != label => {}
            (Kind::Gauge, _) => {}
            (Kind::Histogram, _) => drop(metrics::histogram!(self.name, label => value)),
            (Kind::Counter, []) => metrics::counter!(self.name, label => value).increment(0),
            (Kind::Counter, [(other, values), ..]) => {
                for other_value in *values {
                    metrics::counter!(self.name, label => value, *other => *other_value).increment(0);
                }
            }
        }
    }

    /// Makes every series exist, except those of gauges, which would have a value without a measurement.
    fn touch_all(&self) {
        let mut series: Vec<Vec<(&'static str, &'static str)>> = vec![Vec::new()];
        for (label, values) in self.labels {
            let with = |one: &Vec<_>, value| one.iter().copied().chain([(*label, value)]).collect();
            series = series.iter().flat_map(|one| values.iter().map(move |value| with(one, *value))).collect();
        }
        for labels in series {
            match self.kind {
                Kind::Counter => metrics::counter!(self.name, &labels).increment(0),
                Kind::Histogram => drop(metrics::histogram!(self.name, &labels)),
                Kind::Gauge => {}
            }
        }
    }
}

/// Returns the recorder behind `/metrics`; one per process.
pub fn metrics() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let builder = PrometheusBuilder::new().set_buckets(&BUCKETS).expect("there are buckets");
            let handle = builder.install_recorder().expect("the first recorder");
            // Samples of histograms are kept until they are read, and there may be no reader.
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                let upkeep = handle.clone();
                runtime.spawn(async move {
                    let mut ticks = tokio::time::interval(UPKEEP);
                    loop {
                        ticks.tick().await;
                        upkeep.run_upkeep();
                    }
                });
            }
            let build = [
                ("version", env!("CARGO_PKG_VERSION")),
                ("os", std::env::consts::OS),
                ("arch", std::env::consts::ARCH),
            ];
            metrics::gauge!("mainstay_build_info", &build).set(1);
            handle
        })
        .clone()
}

/// Renders all metrics, each with its unit, which the exporter omits.
pub(crate) fn render(handle: &PrometheusHandle) -> String {
    let text = handle.render();
    let mut with_units = String::with_capacity(text.len() + (4 << 10));
    for line in text.lines() {
        with_units.push_str(line);
        with_units.push('\n');
        let name = line.strip_prefix("# TYPE ").and_then(|rest| rest.split(' ').next());
        if let Some((name, unit)) = name.and_then(|name| Some((name, unit(name)?))) {
            with_units.push_str("# UNIT ");
            with_units.push_str(name);
            with_units.push(' ');
            with_units.push_str(unit);
            with_units.push('\n');
        }
    }
    with_units
}

fn unit(name: &str) -> Option<&'static str> {
    let name = name.strip_suffix("_total").unwrap_or(name);
    ["seconds", "bytes"].into_iter().find(|unit| name.ends_with(&format!("_{unit}")))
}
