//! Sets of fields of a message.

use std::collections::BTreeMap;

/// Fields of a message by their numbers, and recursively of the messages in them; the empty set stands for all fields.
///
/// As an extension of the upstream's response, it selects the fields of the message that exist for this caller. Other
/// fields are omitted from the JSON, including the default values of fields without presence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet(BTreeMap<u32, FieldSet>);

impl FieldSet {
    /// All fields.
    pub const ALL: &'static Self = &Self(BTreeMap::new());

    /// Returns whether all fields are in the set.
    pub fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the set of the message in a field, or `None` if the field is not in the set.
    #[inline]
    pub fn within(&self, number: u32) -> Option<&Self> {
        if self.0.is_empty() { Some(Self::ALL) } else { self.0.get(&number) }
    }

    /// Adds a field with some fields of the message in it. It must not be in the set.
    pub fn insert(&mut self, number: u32, within: Self) {
        self.0.insert(number, within);
    }

    /// Adds the field at the end of `path` with all its content. A whole field overrides parts of it.
    pub fn add(&mut self, path: &[u32]) {
        let Some((first, rest)) = path.split_first() else {
            self.0.clear();
            return;
        };
        let is_new = !self.0.contains_key(first);
        let within = self.0.entry(*first).or_default();
        if is_new || !within.0.is_empty() {
            within.add(rest);
        }
    }

    /// Returns the fields that were added, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Self)> {
        self.0.iter().map(|(number, within)| (*number, within))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_field_overrides_its_parts() {
        let mut set = FieldSet::default();
        assert!(set.is_all() && set.within(7).is_some());
        for path in [&[4, 2][..], &[1], &[4], &[4, 3]] {
            set.add(path);
        }
        assert!(set.within(1).is_some_and(FieldSet::is_all) && set.within(4).is_some_and(FieldSet::is_all));
        assert_eq!((set.within(2), set.iter().count()), (None, 2));
        let mut set = FieldSet::default();
        set.add(&[4, 2]);
        set.add(&[4, 3]);
        let within = set.within(4).expect("a part of it");
        assert!(within.within(3).is_some() && within.within(1).is_none());
    }
}
