//! The slots of each lane, which limit its concurrency.
//!
//! The jobs of a serial lane wait for user-supplied servers. A slow job yields its slot to the next one, so that hung
//! servers delay only their own jobs, up to a limit of yielded jobs.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tokio::sync::Notify;

use crate::{
    config::Config,
    queue::{Lane, store::FreeSlots},
};

/// The lanes, without duplicates.
pub(super) struct Slots {
    lanes: Vec<Arc<LaneSlots>>,
    /// Notified when a slot becomes free in a lane that may have waiting jobs.
    wake: Arc<Notify>,
}

struct LaneSlots {
    lane: Lane,
    free: AtomicUsize,
    /// The number of further jobs that may yield their slot.
    may_yield: AtomicUsize,
    /// Whether more jobs may be due, because the last poll filled all free slots.
    is_saturated: AtomicBool,
}

pub(super) struct Slot {
    lane: Arc<LaneSlots>,
    wake: Arc<Notify>,
    has_yielded: bool,
}

impl Slot {
    /// Yields the slot to another job, if the lane allows one more job without a slot.
    pub(super) fn yield_slot(&mut self) {
        let count = |remaining: usize| remaining.checked_sub(1);
        self.has_yielded = self.lane.may_yield.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count).is_ok();
        if self.has_yielded {
            self.free();
        }
    }

    fn free(&self) {
        self.lane.free.fetch_add(1, Ordering::Relaxed);
        if self.lane.is_saturated.load(Ordering::Relaxed) {
            self.wake.notify_one();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.has_yielded {
            self.lane.may_yield.fetch_add(1, Ordering::Relaxed);
        } else {
            self.free();
        }
    }
}

impl Slots {
    pub(super) fn new(lanes: impl Iterator<Item = Lane>, config: &Config) -> Self {
        let mut slots = Self { lanes: Vec::new(), wake: Arc::default() };
        for lane in lanes {
            if slots.find(lane.name).is_none() {
                let count = (lane.max_concurrency)(config);
                slots.lanes.push(Arc::new(LaneSlots {
                    lane,
                    free: AtomicUsize::new(count),
                    may_yield: AtomicUsize::new(lane.max_running(config) - count),
                    is_saturated: AtomicBool::new(false),
                }));
            }
        }
        slots
    }

    fn find(&self, name: &str) -> Option<&Arc<LaneSlots>> {
        self.lanes.iter().find(|one| one.lane.name == name)
    }

    pub(super) fn count(&self) -> usize {
        self.lanes.len()
    }

    /// Returns the number of a lane, from 0.
    pub(super) fn number(&self, name: &str) -> Option<usize> {
        self.lanes.iter().position(|one| one.lane.name == name)
    }

    pub(super) fn free(&self) -> Vec<FreeSlots> {
        let free = |one: &Arc<LaneSlots>| FreeSlots { lane: one.lane.name, count: one.free.load(Ordering::Relaxed) };
        self.lanes.iter().map(free).collect()
    }

    /// Occupies a slot; `None` if none is free. The limit of a lane holds for any number of taken jobs.
    pub(super) fn occupy(&self, lane: &str) -> Option<Slot> {
        let lane = self.find(lane)?.clone();
        let count = |free: usize| free.checked_sub(1);
        lane.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count).ok()?;
        Some(Slot { lane, wake: self.wake.clone(), has_yielded: false })
    }

    /// Records whether a lane was filled.
    pub(super) fn set_saturated(&self, lane: &str, is_saturated: bool) {
        if let Some(one) = self.find(lane) {
            one.is_saturated.store(is_saturated, Ordering::Relaxed);
        }
    }

    /// Returns whether a lane with possibly waiting jobs has a free slot.
    pub(super) fn may_be_wanted(&self) -> bool {
        let is_wanted =
            |one: &LaneSlots| one.is_saturated.load(Ordering::Relaxed) && one.free.load(Ordering::Relaxed) > 0;
        self.lanes.iter().any(|one| is_wanted(one))
    }

    pub(super) fn wake(&self) -> &Notify {
        &self.wake
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_without_a_free_slot_gives_none() {
        let lane = Lane::new("narrow", |_| 2);
        let lane_slots = LaneSlots {
            lane,
            free: AtomicUsize::new(2),
            may_yield: AtomicUsize::new(0),
            is_saturated: AtomicBool::new(false),
        };
        let slots = Slots { lanes: vec![Arc::new(lane_slots)], wake: Arc::default() };
        let pair = [slots.occupy("narrow"), slots.occupy("narrow")];
        assert!(pair.iter().all(Option::is_some));
        assert!(slots.occupy("narrow").is_none() && slots.free().iter().all(|lane| lane.count == 0));
        drop(pair);
        assert_eq!(slots.free().iter().map(|lane| lane.count).sum::<usize>(), 2);
    }
}
