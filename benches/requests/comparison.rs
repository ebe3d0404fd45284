//! What the server does per second, beside what limits it: the machine, doing only that.

use std::time::Duration;

use crate::load::Measurement;

/// What was done in a round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) count: f64,
    /// The duration.
    pub(crate) wall: Duration,
    /// CPU time of the process that did it.
    pub(crate) cpu: Option<Duration>,
}

impl Rate {
    pub(crate) fn per_second(&self) -> f64 {
        self.count / self.wall.as_secs_f64()
    }

    /// Milliseconds of CPU per 1,000.
    pub(crate) fn cpu_ms(&self) -> Option<f64> {
        Some(self.cpu?.as_secs_f64() * 1e6 / self.count)
    }
}

impl From<&Measurement> for Rate {
    fn from(measurement: &Measurement) -> Self {
        Self { count: measurement.requests(), wall: measurement.wall, cpu: measurement.cpu }
    }
}

/// The rounds of both, which alternate.
#[derive(Debug, Clone)]
pub(crate) struct Comparison {
    /// What is counted.
    pub(crate) name: String,
    /// What the machine does alone.
    pub(crate) limit: String,
    pub(crate) served: Vec<Rate>,
    pub(crate) alone: Vec<Rate>,
}

impl Comparison {
    /// The ratio of both rates over all rounds, and the minimum and maximum of a single round.
    pub(crate) fn ratio(&self) -> (f64, f64, f64) {
        let all = sum(&self.served).per_second() / sum(&self.alone).per_second();
        let single =
            self.served.iter().zip(&self.alone).map(|(served, alone)| served.per_second() / alone.per_second());
        let (low, high) = single.fold((f64::MAX, 0.0_f64), |(low, high), one| (low.min(one), high.max(one)));
        (all, low, high)
    }
}

pub(crate) fn sum(rates: &[Rate]) -> Rate {
    let none = Rate { count: 0.0, wall: Duration::ZERO, cpu: Some(Duration::ZERO) };
    rates.iter().fold(none, |sum, rate| Rate {
        count: sum.count + rate.count,
        wall: sum.wall + rate.wall,
        cpu: sum.cpu.zip(rate.cpu).map(|(a, b)| a + b),
    })
}
