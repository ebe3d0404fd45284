//! The server's rate, compared to its limiting resource: the machine doing only that work.

use std::time::Duration;

use crate::{figures::Ratio, load::Measurement};

/// The work of a round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) count: f64,
    /// The duration.
    pub(crate) wall: Duration,
    /// The CPU time of the process that did the work.
    pub(crate) cpu: Option<Duration>,
}

impl Rate {
    pub(crate) fn per_second(&self) -> f64 {
        self.count / self.wall.as_secs_f64()
    }

    /// Returns milliseconds of CPU time per 1,000 units of work.
    pub(crate) fn cpu_ms(&self) -> Option<f64> {
        Some(self.cpu?.as_secs_f64() * 1e6 / self.count)
    }
}

impl From<&Measurement> for Rate {
    fn from(measurement: &Measurement) -> Self {
        Self { count: measurement.requests(), wall: measurement.wall, cpu: measurement.cpu }
    }
}

/// The alternating rounds of both.
#[derive(Debug, Clone)]
pub(crate) struct Comparison {
    /// The unit of work.
    pub(crate) name: String,
    /// The work of the machine alone.
    pub(crate) limit: String,
    pub(crate) served: Vec<Rate>,
    pub(crate) alone: Vec<Rate>,
}

impl Comparison {
    /// The ratio of both rates.
    pub(crate) fn ratio(&self) -> Ratio {
        let all = sum(&self.served).per_second() / sum(&self.alone).per_second();
        let pairs = self.served.iter().zip(&self.alone);
        Ratio::of(all, pairs.map(|(served, alone)| served.per_second() / alone.per_second()))
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
