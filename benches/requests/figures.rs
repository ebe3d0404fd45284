//! The figures of a run as they are stored, and their comparison with those of another run.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::curve::Curve;

/// A ratio over all rounds, and the minimum and maximum of a single round.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ratio {
    pub(crate) all: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Ratio {
    pub(crate) fn of(all: f64, rounds: impl IntoIterator<Item = f64>) -> Self {
        // A measurement without rounds has no spread.
        let mut rounds = rounds.into_iter().peekable();
        if rounds.peek().is_none() {
            return Self { all, low: all, high: all };
        }
        let (low, high) = rounds.fold((f64::MAX, f64::MIN), |(low, high), one| (low.min(one), high.max(one)));
        Self { all, low, high }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    Lower,
    Higher,
}

/// A figure that does not depend on the speed of the machine: a count, or a ratio of two measurements of one run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) better: Better,
    #[serde(flatten)]
    pub(crate) ratio: Ratio,
}

impl Figure {
    /// Returns whether the best round is worse than the worst round of the earlier run.
    fn is_worse_than(&self, earlier: &Self) -> bool {
        match self.better {
            Better::Lower => self.ratio.low > earlier.ratio.high,
            Better::Higher => self.ratio.high < earlier.ratio.low,
        }
    }
}

/// What was measured, when, and where.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Environment {
    pub(crate) commit: String,
    pub(crate) date: String,
    pub(crate) cpu_model: String,
    pub(crate) cpus: usize,
    /// The average number of runnable processes in the minute before the run, which includes those of other programs.
    pub(crate) load_average: Option<f64>,
}

/// The options that the figures depend on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Conditions {
    pub(crate) tickets: u32,
    pub(crate) rounds: u32,
    pub(crate) round_seconds: f64,
    pub(crate) connections: usize,
    pub(crate) in_flight: usize,
    pub(crate) pool: u32,
    pub(crate) log: String,
}

/// The file of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Run {
    pub(crate) environment: Environment,
    pub(crate) conditions: Conditions,
    /// The figures that are compared between runs.
    pub(crate) comparable: Vec<Figure>,
    pub(crate) curves: Vec<Curve>,
    /// All other figures, which include absolute rates. Only runs on one machine have comparable rates.
    #[serde(flatten)]
    pub(crate) measured: Map<String, Value>,
}

impl Run {
    /// Returns a table of the figures that both runs have; `None` if there are none.
    pub(crate) fn compared_with(&self, earlier: &Self, name: &str) -> Option<String> {
        let of_earlier = |figure: &Figure| earlier.comparable.iter().find(|other| other.name == figure.name);
        let pairs: Vec<_> = self.comparable.iter().filter_map(|figure| Some((figure, of_earlier(figure)?))).collect();
        if pairs.is_empty() {
            return None;
        }
        let Environment { commit, date, cpu_model, cpus, .. } = &earlier.environment;
        let mut text = format!("Compared with {name}: commit {commit}, {date}, {cpus} × {cpu_model}\n");
        if self.conditions != earlier.conditions {
            let (now, then) = (&self.conditions, &earlier.conditions);
            writeln!(text, "The options differ, so the figures may, too: {then:?}, now {now:?}").ok();
        }
        text.push_str(
            "\n| | before | single rounds | now | single rounds | now / before | |\n|---|--:|--:|--:|--:|--:|---|\n",
        );
        for (figure, before) in &pairs {
            let worse = if figure.is_worse_than(before) { "**worse**" } else { "" };
            let (name, now, before) = (&figure.name, figure.ratio, before.ratio);
            writeln!(
                text,
                "| {name} | {:.3} | {:.3} to {:.3} | {:.3} | {:.3} to {:.3} | {:.2} | {worse} |",
                before.all,
                before.low,
                before.high,
                now.all,
                now.low,
                now.high,
                now.all / before.all
            )
            .ok();
        }
        let worse = pairs.iter().filter(|(figure, before)| figure.is_worse_than(before)).count();
        let absent = earlier.comparable.len() - pairs.len();
        writeln!(
            text,
            "\n{worse} of {} figures are worse by more than the spread of the rounds; {absent} were not measured.",
            pairs.len()
        )
        .ok();
        Some(text)
    }
}
