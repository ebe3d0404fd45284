//! Who is next in a lane for which more is due than it has free slots.
//!
//! The jobs of a lane and the due rows of each of its tables are taken one after the other, as many as there are free slots.
//! Whoever came first each time would keep the others waiting for as long as it never ends. So whoever takes the last free
//! slots of its lane comes after all others from then on, until they have done the same.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What may fill a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The jobs of a lane, by its name.
    Jobs(&'static str),
    /// The due rows of this name.
    Rows(&'static str),
}

/// Those that have filled their lanes; whoever did so last is at the end. There are a few of them.
#[derive(Debug, Default)]
pub(super) struct RoundRobin(Mutex<Vec<Source>>);

impl RoundRobin {
    /// Returns the rank of a source among those that have filled their lanes; `None`, which is before all of them, if it
    /// never has.
    pub(super) fn rank(&self, source: Source) -> Option<usize> {
        self.lock().iter().position(|other| *other == source)
    }

    /// Notes that a source has filled its lane.
    pub(super) fn move_to_back(&self, source: Source) {
        let mut sources = self.lock();
        sources.retain(|other| *other != source);
        sources.push(source);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Source>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_filled_its_lane_comes_after_those_who_have_not_since() {
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
