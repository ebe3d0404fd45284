//! The table at the end, and the failures.

use std::time::Duration;

use super::{
    Settings,
    books::Books,
    driver::{PhaseResult, Sample},
    memory::{Series, trend},
    mix::Outcome,
};

/// The share of successful requests from which a moment counts as recovered.
const RECOVERED: f64 = 0.95;
const BIN: Duration = Duration::from_millis(250);
/// The judged figures: the share of the capacity that remains under overload, the time to recover, and the growth of
/// memory over the soak.
const GOODPUT: f64 = 0.9;
const MAX_RECOVERY: Duration = Duration::from_secs(2);
const GROWTH: f64 = 0.05;

pub(super) struct Report {
    settings: Settings,
    rows: Vec<String>,
    /// The successes per second of closed-loop callers.
    capacity: f64,
    failures: Vec<String>,
    notes: Vec<String>,
}

impl Report {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, rows: Vec::new(), capacity: 0.0, failures: Vec::new(), notes: Vec::new() }
    }

    /// Adds the phase that measures the capacity.
    pub(super) fn capacity(&mut self, result: PhaseResult) {
        let good = result.samples.iter().filter(|sample| sample.outcome == Outcome::Good).count();
        self.capacity = good as f64 / (result.end - result.began).as_secs_f64();
        self.phase(result);
    }

    pub(super) fn phase(&mut self, result: PhaseResult) {
        self.fault(result, Duration::MAX);
    }

    /// Adds the phase of a fault in which a write must be acknowledged at least once in a time.
    pub(super) fn fault(&mut self, result: PhaseResult, longest_pause: Duration) {
        let name = result.phase.name;
        let mut faults = Vec::new();
        let count = |outcome: &Outcome| result.samples.iter().filter(|sample| sample.outcome == *outcome).count();
        let (good, refusals) = (count(&Outcome::Good), count(&Outcome::Refused));
        let wrong: Vec<_> = result.samples.iter().filter_map(Sample::wrong).collect();
        faults.extend(wrong.iter().take(3).map(|what| (*what).to_owned()));
        let goodput = result.goodput();
        let (recovery, pause) = (result.recovery(), result.write_pause());
        if pause > longest_pause {
            faults.push(format!("no write was acknowledged for {pause:.1?}"));
        }
        if self.settings.judges_times {
            // A rollout is transparent, and nothing fails without a fault.
            if ["undisturbed", "capacity", "rolling restart", "the standby is lost", "soak"].contains(&name)
                && refusals > 0
            {
                faults.push(format!("{refusals} requests were refused"));
            }
            if result.phase.factor > 1.0 && goodput < GOODPUT * self.capacity {
                faults.push(format!("goodput was {goodput:.0}/s, of {:.0}/s at best", self.capacity));
            }
            if recovery > MAX_RECOVERY {
                faults.push(format!("it took {recovery:.1?} to recover"));
            }
        }
        let (p50, p99) = result.quantiles();
        let verdict = if faults.is_empty() { "pass" } else { "FAIL" };
        self.rows.push(format!(
            "| {name} | {} | {good} | {refusals} | {} | {goodput:.0} | {p50:.0} | {p99:.0} | {:.1} | {:.2} | {:.1} | {verdict} |",
            result.samples.len(),
            wrong.len(),
            (result.end - result.began).as_secs_f64(),
            recovery.as_secs_f64(),
            pause.as_secs_f64(),
        ));
        println!("{}", self.rows.last().expect("a row"));
        self.failures.extend(faults.into_iter().map(|fault| format!("{name}: {fault}")));
    }

    pub(super) fn memory(&mut self, series: Vec<Series>) {
        let minutes = self.settings.soak.as_secs_f64() / 60.0;
        for (index, (mean, slope)) in series.iter().filter_map(trend).enumerate() {
            self.notes.push(format!("memory of instance {index} in the soak: {mean:.0} MB, {slope:+.2} MB per minute"));
            if self.settings.judges_times && slope * minutes > GROWTH * mean {
                self.failures.push(format!("memory of instance {index} grew by {slope:.2} MB per minute"));
            }
        }
    }

    pub(super) fn books(&mut self, books: Books) {
        self.notes.extend(books.compared.iter().map(|(name, count)| format!("{name}: {count}")));
        self.failures.extend(books.faults);
    }

    pub(super) fn failures(&self) -> &[String] {
        &self.failures
    }

    pub(super) fn print(&self) {
        println!(
            "\n{}/s, {} CPUs for all\n",
            self.settings.rate,
            std::thread::available_parallelism().map_or(0, usize::from)
        );
        println!(
            "| phase | sent | good | refused | wrong | goodput/s | p50 ms | p99 ms | fault s | recovery s | no writes s | |"
        );
        println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|");
        self.rows.iter().for_each(|row| println!("{row}"));
        println!();
        self.notes.iter().for_each(|note| println!("- {note}"));
        self.failures.iter().for_each(|failure| println!("- FAIL: {failure}"));
    }
}

impl Sample {
    fn wrong(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Wrong(what) => Some(what),
            _ => None,
        }
    }
}

impl PhaseResult {
    /// Returns successes per second while the fault lasts, or in the whole phase if there is none.
    fn goodput(&self) -> f64 {
        let end = if self.phase.factor > 1.0 { self.end } else { self.began + self.phase.length };
        let good = self.samples.iter().filter(|sample| sample.outcome == Outcome::Good && sample.due < end);
        good.count() as f64 / (end - self.began).as_secs_f64()
    }

    /// Returns how long after the fault requests still failed.
    fn recovery(&self) -> Duration {
        if self.end - self.began < BIN {
            // There was no fault.
            return Duration::ZERO;
        }
        let mut bins = Vec::<(u32, u32)>::new();
        for sample in self.samples.iter().filter(|sample| sample.due >= self.end) {
            let bin = ((sample.due - self.end).as_micros() / BIN.as_micros()) as usize;
            bins.resize(bins.len().max(bin + 1), (0, 0));
            bins[bin].0 += u32::from(sample.outcome == Outcome::Good);
            bins[bin].1 += 1;
        }
        let is_bad = |(good, all): &(u32, u32)| f64::from(*good) < RECOVERED * f64::from(*all);
        bins.iter().rposition(is_bad).map_or(Duration::ZERO, |bin| BIN * (bin as u32 + 1))
    }

    /// Returns the longest time without an acknowledged write.
    fn write_pause(&self) -> Duration {
        let is_good = |sample: &&Sample| sample.is_write && sample.outcome == Outcome::Good;
        let mut times: Vec<_> = self.samples.iter().filter(is_good).map(|sample| sample.due + sample.took).collect();
        times.extend([self.began, self.end]);
        times.sort_unstable();
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    /// Returns the median and the 99th percentile of the successes, in milliseconds.
    fn quantiles(&self) -> (f64, f64) {
        let good = self.samples.iter().filter(|sample| sample.outcome == Outcome::Good);
        let mut took: Vec<_> = good.map(|sample| sample.took).collect();
        took.sort_unstable();
        let at = |share: f64| {
            let index = (took.len() as f64 * share) as usize;
            took.get(index).map_or(0.0, |took| took.as_secs_f64() * 1e3)
        };
        (at(0.5), at(0.99))
    }
}
