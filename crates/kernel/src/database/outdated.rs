//! Which cached values the committed changes have outdated.
//!
//! Each change increments a counter, the generation, and stores it in the slots of its topic and of its resource. A value
//! that was read before the generation of its slot is outdated. The number of slots is fixed: two tags may share one, which
//! causes an additional read of the source, and never a stale value.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::atomic::{AtomicU64, Ordering::SeqCst},
};

use parking_lot::RwLock;
use uuid::Uuid;

/// Slots, of 8 bytes each. A change has a spurious effect on one of so many cached values.
const SLOTS: usize = 1 << 14;

#[derive(Debug)]
pub(crate) struct Outdated {
    generation: AtomicU64,
    slots: Box<[AtomicU64]>,
    /// The generation up to which changes may have been missed.
    missed_until: AtomicU64,
    /// The topics of cached values. Changes of other topics have no effect.
    topics: RwLock<Vec<&'static str>>,
    hasher: RandomState,
}

/// The changes that outdate a value: of a whole topic, or of one resource.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tag(usize);

impl Default for Outdated {
    fn default() -> Self {
        let slots = (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
        let (generation, missed_until, topics, hasher) = Default::default();
        Self { generation, slots, missed_until, topics, hasher }
    }
}

impl Outdated {
    pub(crate) fn add_topic(&self, topic: &'static str) {
        self.topics.write().push(topic);
    }

    pub(crate) fn tag(&self, topic: &str, id: Option<Uuid>) -> Tag {
        #[expect(clippy::cast_possible_truncation, reason = "less than the number of slots")]
        Tag((self.hasher.hash_one((topic, id)) % SLOTS as u64) as usize)
    }

    /// Records a committed change.
    pub(crate) fn record(&self, topic: &str, id: Uuid) {
        if self.topics.read().contains(&topic) {
            let generation = self.generation.fetch_add(1, SeqCst) + 1;
            for tag in [self.tag(topic, None), self.tag(topic, Some(id))] {
                self.slots[tag.0].fetch_max(generation, SeqCst);
            }
        }
    }

    /// Records that changes may have been missed until now.
    pub(crate) fn record_gap(&self) {
        let generation = self.generation.fetch_add(1, SeqCst) + 1;
        self.missed_until.fetch_max(generation, SeqCst);
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(SeqCst)
    }

    pub(crate) fn is_outdated(&self, tag: Tag, generation: u64) -> bool {
        generation < self.slots[tag.0].load(SeqCst)
    }

    /// Returns whether a value is known to be outdated, or a change of it may have been missed.
    pub(crate) fn may_be_outdated(&self, tag: Tag, generation: u64) -> bool {
        generation < self.missed_until.load(SeqCst) || self.is_outdated(tag, generation)
    }
}
