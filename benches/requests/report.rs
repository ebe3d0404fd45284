//! The results as tables; [`json`] has them as figures.

mod json;

use crate::{
    calls::Operation,
    comparison::{self, Comparison},
    contender::Contender,
    curve::{Curve, Latency},
    figures::{Conditions, Environment, Ratio},
    goals, history,
    jobs::Jobs,
    load::Measurement,
    options::Options,
    overload::Overload,
    paging::PageLatencies,
    pgbench::Alone,
    rounds::Rounds,
};

/// The results.
pub(crate) struct Report {
    environment: Environment,
    conditions: Conditions,
    measured: Vec<(Operation, Rounds)>,
    alone: Vec<(Operation, Alone)>,
    jobs: Option<Jobs>,
    pages: Option<PageLatencies>,
    overloads: Vec<Overload>,
    comparisons: Vec<Comparison>,
    curves: Vec<Curve>,
}

impl Report {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            environment: history::environment(),
            conditions: options.conditions(),
            measured: Vec::new(),
            alone: Vec::new(),
            jobs: None,
            pages: None,
            overloads: Vec::new(),
            comparisons: Vec::new(),
            curves: Vec::new(),
        }
    }

    pub(crate) fn rounds(&mut self, operation: Operation, rounds: Rounds) {
        self.measured.push((operation, rounds));
    }

    pub(crate) fn pgbench(&mut self, operation: Operation, alone: Alone) {
        self.alone.push((operation, alone));
    }

    pub(crate) fn jobs(&mut self, jobs: Jobs) {
        self.jobs = Some(jobs);
    }

    pub(crate) fn pages(&mut self, pages: PageLatencies) {
        self.pages = Some(pages);
    }

    pub(crate) fn overload(&mut self, overload: Overload) {
        self.overloads.push(overload);
    }

    pub(crate) fn comparison(&mut self, comparison: Comparison) {
        self.comparisons.push(comparison);
    }

    pub(crate) fn curve(&mut self, curve: Curve) {
        self.curves.push(curve);
    }

    /// Returns all comparisons with a limiting resource.
    fn comparisons(&self) -> impl Iterator<Item = &Comparison> {
        self.overloads.iter().map(|overload| &overload.goodput).chain(&self.comparisons)
    }

    pub(crate) fn print(&self) {
        let Conditions { tickets, rounds, round_seconds, connections, in_flight, pool: _, log } = &self.conditions;
        println!(
            "\n{tickets} tickets; {rounds} rounds of {round_seconds} s; {connections} connections × {in_flight} in flight; \
             log {log}; {} CPUs shared by load, server, Postgres and Redis",
            self.environment.cpus
        );
        let rows = self.measured.iter().flat_map(|(operation, rounds)| self.operation(*operation, rounds));
        let head = "| | | requests/s | p50 ms | p99 ms | server CPU ms / 1,000 | Postgres CPU ms / 1,000 |\n\
                    |---|---|--:|--:|--:|--:|--:|";
        table(head, rows.chain(self.jobs.iter().flat_map(jobs)));
        table(
            goals::HEAD,
            self.measured.iter().filter_map(|(operation, rounds)| {
                goals::row(*operation, |contender| of(*operation, rounds, contender).map(sum))
            }),
        );
        let rows = self.of_alone().into_iter().map(|(label, ratio)| format!("| {label} | {ratio:.2} |"));
        table("| of pgbench's rate | |\n|---|--:|", rows);
        let rows = self.ratios().into_iter();
        let rows =
            rows.map(|(label, Ratio { all, low, high })| format!("| {label} | {all:.2} | {low:.2} to {high:.2} |"));
        table("| ratio of server CPU per request | all rounds | single rounds |\n|---|--:|--:|", rows);
        let head = "| | per second | CPU ms / 1,000 | limit | per second | CPU ms / 1,000 | ratio, all rounds | single rounds |\n\
                    |---|--:|--:|---|--:|--:|--:|--:|";
        table(head, self.comparisons().map(comparison_row));
        let head = "| | refused or late/s | p50 ms | p99 ms | server MiB before | connected | at most |\n|---|--:|--:|--:|--:|--:|--:|";
        table(head, self.overloads.iter().map(overload_row));
        let head = "| closed loop | connections | requests/s | p50 ms | p99 ms | p99.9 ms | server CPU ms | Postgres CPU ms |\n\
                    |---|--:|--:|--:|--:|--:|--:|--:|";
        table(head, self.curves.iter().flat_map(closed_rows));
        let head = "| open loop | offered/s | answered/s | p50 ms | p99 ms | p99.9 ms | refused |\n|---|--:|--:|--:|--:|--:|--:|";
        table(head, self.curves.iter().flat_map(open_rows));
        let Some(pages) = &self.pages else { return };
        let times = pages.names.iter().zip(pages.served_us).zip(pages.statements_us);
        let rows = times.map(|((name, served), statements)| format!("| {name} | {served} | {statements} |"));
        table("| page of 20 at the median | served µs | statements µs |\n|---|--:|--:|", rows);
        println!("\nFar down is behind row {}.", pages.deep);
        for (label, ratio) in page_ratios(pages) {
            println!("{label}: {ratio:.2}");
        }
    }

    /// The rows of an operation, by contender.
    fn operation(&self, operation: Operation, rounds: &Rounds) -> Vec<String> {
        let mut rows = Vec::new();
        for (contender, rounds) in operation.contenders().iter().zip(rounds) {
            let total = sum(rounds);
            let (p50, p99, cpu) = (total.quantile_ms(0.5), total.quantile_ms(0.99), or_dash(total.cpu_ms()));
            let (name, per_second) = (contender.name(), total.per_second());
            let postgres = or_dash(total.postgres_ms());
            rows.push(format!(
                "| {} | {name} | {per_second:.0} | {p50:.2} | {p99:.2} | {cpu} | {postgres} |",
                operation.name()
            ));
        }
        for (_, alone) in self.alone.iter().filter(|(measured, _)| *measured == operation) {
            let Alone { per_second, mean_ms, postgres_ms, .. } = alone;
            let (name, postgres) = (operation.name(), or_dash(*postgres_ms));
            rows.push(format!("| {name} | pgbench | {per_second:.0} | {mean_ms:.2} (mean) | | | {postgres} |"));
        }
        rows
    }

    /// Each contender's share of pgbench's rate, while load generator, server, Postgres and Redis share the machine.
    fn of_alone(&self) -> Vec<(String, f64)> {
        let mut ratios = Vec::new();
        for (operation, rounds) in &self.measured {
            let Some((_, alone)) = self.alone.iter().find(|(measured, _)| measured == operation) else { continue };
            for (contender, rounds) in operation.contenders().iter().zip(rounds) {
                let label = format!("{}: {}", operation.name(), contender.name());
                ratios.push((label, sum(rounds).per_second() / alone.per_second));
            }
        }
        ratios.extend(self.jobs.map(|jobs| ("job".to_owned(), jobs.per_second / jobs.alone.per_second)));
        ratios
    }

    /// The CPU time per request of a contender, compared to another one.
    fn ratios(&self) -> Vec<(String, Ratio)> {
        let pairs = [
            (Contender::Grpc, Contender::Bare),
            (Contender::Grpc, Contender::Careful),
            (Contender::Rest2, Contender::Grpc),
            (Contender::Rest1, Contender::Grpc),
            (Contender::Rest1, Contender::Peer),
        ];
        let mut ratios = Vec::new();
        for (operation, rounds) in &self.measured {
            for (above, below) in pairs {
                let of = |contender| of(*operation, rounds, contender);
                let (Some(above_rounds), Some(below_rounds)) = (of(above), of(below)) else { continue };
                let ratio = |a: &Measurement, b: &Measurement| Some(a.cpu_ms()? / b.cpu_ms()?);
                let single = above_rounds.iter().zip(below_rounds).filter_map(|(a, b)| ratio(a, b));
                let Some(all) = ratio(&sum(above_rounds), &sum(below_rounds)) else { continue };
                let label = format!("{}: {} / {}", operation.name(), above.name(), below.name());
                ratios.push((label, Ratio::of(all, single)));
            }
        }
        ratios
    }
}

/// The rounds of a contender, if it takes part.
fn of(operation: Operation, rounds: &Rounds, contender: Contender) -> Option<&[Measurement]> {
    let index = operation.contenders().iter().position(|one| *one == contender)?;
    rounds.get(index).map(Vec::as_slice)
}

/// Prints a table, unless it has no rows.
fn table(head: &str, rows: impl Iterator<Item = String>) {
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        println!("\n{head}\n{}", rows.join("\n"));
    }
}

fn or_dash(ms: Option<f64>) -> String {
    ms.map_or("-".to_owned(), |ms| format!("{ms:.1}"))
}

fn jobs(jobs: &Jobs) -> [String; 2] {
    let (cpu, alone) = (or_dash(jobs.cpu_ms), jobs.alone);
    [
        format!("| job | worker with {} slots | {:.0} | | | {cpu} | |", jobs.places, jobs.per_second),
        format!("| job | pgbench | {:.0} | {:.2} (mean) | | | |", alone.per_second, alone.mean_ms),
    ]
}

fn comparison_row(comparison: &Comparison) -> String {
    let Comparison { name, limit, .. } = comparison;
    let (served, alone) = (comparison::sum(&comparison.served), comparison::sum(&comparison.alone));
    let (served_cpu, alone_cpu) = (or_dash(served.cpu_ms()), or_dash(alone.cpu_ms()));
    let (served, alone) = (served.per_second(), alone.per_second());
    let Ratio { all, low, high } = comparison.ratio();
    format!(
        "| {name} | {served:.0} | {served_cpu} | {limit} | {alone:.0} | {alone_cpu} | {all:.3} | {low:.3} to {high:.3} |"
    )
}

fn overload_row(overload: &Overload) -> String {
    let memory = overload.memory.map_or("- | - | -".to_owned(), |memory| {
        format!("{:.0} | {:.0} | {:.0}", memory.before, memory.connected, memory.max)
    });
    let (name, refusals) = (&overload.goodput.name, overload.refused_per_second);
    let (p50, p99) = (overload.quantile_ms(0.5), overload.quantile_ms(0.99));
    format!("| {name} | {refusals:.0} | {p50:.0} | {p99:.0} | {memory} |")
}

fn closed_rows(curve: &Curve) -> impl Iterator<Item = String> {
    let operation = &curve.operation;
    curve.closed.iter().map(move |point| {
        let (server, postgres) = (or_dash_precise(point.server_cpu_ms), or_dash_precise(point.postgres_cpu_ms));
        let (rate, latency) = (point.requests_per_second, quantiles(&point.latency));
        format!("| {operation} | {} | {rate:.0} | {latency} | {server} | {postgres} |", point.connections)
    })
}

fn open_rows(curve: &Curve) -> impl Iterator<Item = String> {
    let operation = &curve.operation;
    curve.open.iter().map(move |point| {
        let (offered, answered) = (point.offered_per_second, point.answered_per_second);
        let (latency, refused) = (quantiles(&point.latency), point.refused);
        format!("| {operation} | {offered:.0} | {answered:.0} | {latency} | {refused} |")
    })
}

fn quantiles(latency: &Latency) -> String {
    [latency.p50_ms, latency.p99_ms, latency.p999_ms].map(or_dash_precise).join(" | ")
}

fn or_dash_precise(ms: Option<f64>) -> String {
    ms.map_or("-".to_owned(), |ms| format!("{ms:.3}"))
}

fn sum(rounds: &[Measurement]) -> Measurement {
    rounds.iter().fold(Measurement::none(), |mut sum, round| {
        sum.add(round);
        sum
    })
}

fn page_ratios(pages: &PageLatencies) -> [(&'static str, f64); 4] {
    let ratio = |times: &[u64; 3], above: usize| times[above] as f64 / times[1] as f64;
    [
        ("page 1 with its total / page alone, served", ratio(&pages.served_us, 0)),
        ("page 1 with its total / page alone, statements", ratio(&pages.statements_us, 0)),
        ("page far down / page alone, served", ratio(&pages.served_us, 2)),
        ("page far down / page alone, statements", ratio(&pages.statements_us, 2)),
    ]
}
