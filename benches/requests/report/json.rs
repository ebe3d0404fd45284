//! The figures of the results.

use serde_json::{Map, Value, json};

use super::{Report, of, page_ratios, sum};
use crate::{
    calls::Operation,
    comparison::{self, Comparison},
    contender::Contender,
    figures::{Better, Figure, Ratio, Run},
    load::Measurement,
    overload::Overload,
    rounds::Rounds,
};

impl Report {
    pub(crate) fn run(&self) -> Run {
        let named = |(name, ratio): (String, f64)| json!({"name": name, "ratio": ratio});
        let measured = [
            (
                "operations",
                self.measured.iter().map(|(operation, rounds)| self.operation_json(*operation, rounds)).collect(),
            ),
            ("ofPgbench", self.of_alone().into_iter().map(named).collect()),
            ("jobs", self.jobs_json()),
            ("pages", self.pages_json()),
            ("comparisons", self.comparisons().map(comparison_json).collect()),
            ("overloads", self.overloads.iter().map(overload_json).collect()),
        ];
        Run {
            environment: self.environment.clone(),
            conditions: self.conditions.clone(),
            comparable: self.comparable(),
            curves: self.curves.clone(),
            measured: measured
                .map(|(name, value): (&str, Value)| (name.to_owned(), value))
                .into_iter()
                .collect::<Map<_, _>>(),
        }
    }

    /// Returns the figures that do not depend on the speed of the machine.
    fn comparable(&self) -> Vec<Figure> {
        let lower = |name, ratio| Figure { name, better: Better::Lower, ratio };
        let mut figures: Vec<_> =
            self.ratios().into_iter().map(|(name, ratio)| lower(format!("server CPU, {name}"), ratio)).collect();
        for (operation, alone) in &self.alone {
            let name = operation.name();
            figures.push(lower(format!("statements, {name}"), Ratio::of(alone.statements as f64, [])));
            let of_operation = self.measured.iter().find(|(measured, _)| measured == operation);
            let rounds = of_operation.and_then(|(_, rounds)| of(*operation, rounds, Contender::Rest1));
            let (Some(rounds), Some(alone)) = (rounds, alone.postgres_ms) else { continue };
            let ratio = |measured: &Measurement| Some(measured.postgres_ms()? / alone);
            let Some(all) = ratio(&sum(rounds)) else { continue };
            let label = format!("Postgres CPU, {name}: {} / pgbench", Contender::Rest1.name());
            figures.push(lower(label, Ratio::of(all, rounds.iter().filter_map(ratio))));
        }
        figures.extend(self.comparisons().map(|comparison| Figure {
            name: format!("rate, {}", comparison.name),
            better: Better::Higher,
            ratio: comparison.ratio(),
        }));
        figures
    }

    fn operation_json(&self, operation: Operation, rounds: &Rounds) -> Value {
        let contender = |(contender, rounds): (&Contender, &Vec<Measurement>)| {
            let total = sum(rounds);
            json!({
                "name": contender.name(), "requestsPerSecond": total.per_second(), "p50Ms": total.quantile_ms(0.5),
                "p99Ms": total.quantile_ms(0.99), "serverCpuMsPer1000": total.cpu_ms(),
                "postgresCpuMsPer1000": total.postgres_ms(),
            })
        };
        let contenders: Vec<_> = operation.contenders().iter().zip(rounds).map(contender).collect();
        let alone = self.alone.iter().find(|(measured, _)| *measured == operation).map(|(_, alone)| {
            json!({
                "requestsPerSecond": alone.per_second, "meanMs": alone.mean_ms, "postgresCpuMsPer1000": alone.postgres_ms,
                "statements": alone.statements,
            })
        });
        json!({"name": operation.name(), "contenders": contenders, "pgbench": alone})
    }

    fn jobs_json(&self) -> Value {
        let Some(jobs) = self.jobs else { return Value::Null };
        json!({
            "places": jobs.places, "jobsPerSecond": jobs.per_second, "workerCpuMsPer1000": jobs.cpu_ms,
            "pgbench": {"jobsPerSecond": jobs.alone.per_second, "meanMs": jobs.alone.mean_ms},
        })
    }

    fn pages_json(&self) -> Value {
        let Some(pages) = &self.pages else { return Value::Null };
        json!({
            "names": pages.names, "servedUs": pages.served_us, "statementsUs": pages.statements_us, "deep": pages.deep,
            "ratios": page_ratios(pages).map(|(label, ratio)| json!({"name": label, "ratio": ratio})),
        })
    }
}

fn comparison_json(comparison: &Comparison) -> Value {
    let (served, alone) = (comparison::sum(&comparison.served), comparison::sum(&comparison.alone));
    json!({
        "name": comparison.name, "perSecond": served.per_second(), "cpuMsPer1000": served.cpu_ms(),
        "limit": {"name": comparison.limit, "perSecond": alone.per_second(), "cpuMsPer1000": alone.cpu_ms()},
        "ratio": comparison.ratio(),
    })
}

fn overload_json(overload: &Overload) -> Value {
    json!({
        "name": overload.goodput.name, "refusedPerSecond": overload.refused_per_second,
        "p50Ms": overload.quantile_ms(0.5), "p99Ms": overload.quantile_ms(0.99),
        "serverMib": overload.memory.map(|memory| {
            json!({"before": memory.before, "connected": memory.connected, "most": memory.max})
        }),
    })
}
