//! Samples of the end of the primary's log, which give the lag of a replica by the clock of this process alone.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use crate::database::position::Position;

/// The end of the primary's log at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) end: Position,
}

/// The samples that can still matter for a replica, in ascending order of time and end.
#[derive(Debug)]
pub(super) struct Samples {
    all: VecDeque<Sample>,
    max_age: Duration,
}

impl Samples {
    pub(super) fn new(max_age: Duration) -> Self {
        Self { all: VecDeque::new(), max_age }
    }

    pub(super) fn add(&mut self, sample: Sample) {
        // The end moves back when a standby is promoted that lacks a part of the old primary's log.
        let count = self.all.partition_point(|other| other.end <= sample.end);
        self.all.truncate(count);
        let outdated = self.all.partition_point(|other| other.at + self.max_age < sample.at);
        self.all.drain(..outdated);
        self.all.push_back(sample);
    }

    /// Returns the time of the latest sample whose end was replayed.
    pub(super) fn last_before(&self, replayed: Position) -> Option<Instant> {
        let after = self.all.partition_point(|sample| sample.end <= replayed);
        Some(self.all.get(after.checked_sub(1)?)?.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_millis(100);

    fn position(end: u64) -> Position {
        Position::of_text(&format!("{end:x}")).expect("a position")
    }

    fn samples(now: Instant, ends: &[u64]) -> Samples {
        let mut samples = Samples::new(Duration::from_secs(1));
        for (number, end) in (0..).zip(ends) {
            samples.add(Sample { at: now + PERIOD * number, end: position(*end) });
        }
        samples
    }

    #[test]
    fn a_replica_is_as_new_as_the_last_sample_that_it_has_replayed() {
        let now = Instant::now();
        let samples = samples(now, &[10, 20, 20, 30]);
        for (replayed, period) in [(9, None), (10, Some(0)), (19, Some(0)), (20, Some(2)), (29, Some(2)), (99, Some(3))]
        {
            assert_eq!(
                samples.last_before(position(replayed)),
                period.map(|period| now + PERIOD * period),
                "{replayed}"
            );
        }
    }

    #[test]
    fn samples_are_forgotten() {
        let now = Instant::now();
        let ends: Vec<_> = (1..=100).collect();
        let long = samples(now, &ends);
        assert_eq!(long.all.len(), 11, "those of a second");
        // A standby was promoted that lacks the rest.
        let after_loss = samples(now, &[10, 20, 30, 15]);
        assert_eq!(after_loss.last_before(position(14)), Some(now));
        assert_eq!(after_loss.last_before(position(40)), Some(now + PERIOD * 3));
    }
}
