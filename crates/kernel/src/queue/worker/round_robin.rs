//! Round-robin scheduling of a lane with more due work than free slots.
//!
//! A worker takes the jobs of a lane and the due rows of each of its tables one after another, up to the free slots. A
//! fixed order would starve the later sources. Therefore a source that has taken the last free slots of its lane moves
//! behind all others.

use parking_lot::Mutex;

/// A source of work in a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The jobs of a lane, by its name.
    Jobs(&'static str),
    /// The due rows of this name.
    Rows(&'static str),
}

/// The sources that have filled their lanes, least recently first. There are only a few.
#[derive(Debug, Default)]
pub(super) struct RoundRobin(Mutex<Vec<Source>>);

impl RoundRobin {
    /// Returns the rank of a source among those that have filled their lanes. `None`, which sorts first: it never has.
    pub(super) fn rank(&self, source: Source) -> Option<usize> {
        self.0.lock().iter().position(|other| *other == source)
    }

    /// Records that a source has filled its lane.
    pub(super) fn move_to_back(&self, source: Source) {
        let mut sources = self.0.lock();
        sources.retain(|other| *other != source);
        sources.push(source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_that_filled_its_lane_comes_after_the_others() {
        let (round_robin, all) =
            (RoundRobin::default(), [Source::Jobs("lane"), Source::Rows("one"), Source::Rows("other")]);
        let mut served = Vec::new();
        for _ in 0..9 {
            let next = all.into_iter().min_by_key(|source| round_robin.rank(*source)).expect("three");
            round_robin.move_to_back(next);
            served.push(next);
        }
        assert_eq!(served, [all, all, all].concat());
    }
}
