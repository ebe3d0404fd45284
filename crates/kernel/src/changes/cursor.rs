//! Read positions in an append-only table, by transaction snapshots.

use chrono::{DateTime, Utc};

/// A set of ended transactions, committed or rolled back, as of one moment. Snapshots are totally ordered: of any two,
/// one contains the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The time of the snapshot, by the clock of the process that took it.
    pub taken_at: DateTime<Utc>,
    /// The first transaction id that had not been assigned (`xmax`).
    pub(super) end: i64,
    /// The ids below `end` of transactions in progress.
    pub(super) running: Vec<i64>,
}

impl Snapshot {
    /// Parses the text form of a `pg_snapshot`, such as `10:20:10,14`.
    pub fn parse(text: &str, taken_at: DateTime<Utc>) -> Option<Self> {
        let mut parts = text.split(':');
        let (_, end, running) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
        let running = running.split(',').filter(|id| !id.is_empty()).map(str::parse).collect::<Result<_, _>>().ok()?;
        Some(Self { taken_at, end, running })
    }

    /// Returns whether the snapshot contains a transaction.
    pub fn contains(&self, writer: i64) -> bool {
        writer < self.end && !self.running.contains(&writer)
    }

    /// Returns whether the snapshot contains every transaction of the other one.
    pub fn covers(&self, other: &Self) -> bool {
        self.end > other.end || (self.end == other.end && self.running.len() <= other.running.len())
    }
}

/// A read position: a whole snapshot, and optionally a part of what a later snapshot adds to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub(super) from: Snapshot,
    /// The later snapshot, and the position within what it adds to the first one.
    pub(super) part: Option<(Snapshot, (i64, i64))>,
}

impl Cursor {
    /// Returns the position of a reader that has read all of a snapshot.
    pub fn whole(snapshot: Snapshot) -> Self {
        Self { from: snapshot, part: None }
    }

    /// The lowest id of a transaction that may be unread.
    pub fn from_writer(&self) -> i64 {
        self.from.running.iter().copied().min().unwrap_or(self.from.end).min(self.from.end)
    }

    /// The transactions that may be unread: the end of the complete snapshot, and those in progress below it.
    pub(super) fn unread(&self) -> (i64, &[i64]) {
        (self.from.end, &self.from.running)
    }

    pub(super) fn after(&self) -> (i64, i64) {
        self.part.as_ref().map_or((0, 0), |(_, after)| *after)
    }

    /// The upper bound of the next read, as an end and the transactions in progress below it; `None` for all entries.
    pub(super) fn until(&self) -> Option<(i64, &[i64])> {
        self.part.as_ref().map(|(until, _)| (until.end, until.running.as_slice()))
    }

    /// Returns the position of a reader that has read, up to and including `position`, what `read` adds to this cursor.
    pub(super) fn at(&self, read: &Snapshot, position: (i64, i64)) -> Self {
        let until = self.part.as_ref().map_or(read, |(until, _)| until);
        Self { from: self.from.clone(), part: Some((until.clone(), position)) }
    }

    /// Returns the position of a reader that has read everything that `read` adds to this cursor.
    pub(super) fn end(&self, read: &Snapshot) -> Self {
        Self::whole(self.part.as_ref().map_or(read, |(until, _)| until).clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(text: &str) -> Snapshot {
        Snapshot::parse(text, DateTime::default()).expect("a snapshot")
    }

    #[test]
    fn a_snapshot_contains_what_had_ended() {
        let sample = snapshot("10:20:10,14");
        let contained: Vec<_> = (8..22).filter(|&writer| sample.contains(writer)).collect();
        assert_eq!(contained, [8, 9, 11, 12, 13, 15, 16, 17, 18, 19]);
        assert_eq!(snapshot("7:7:"), Snapshot { taken_at: DateTime::default(), end: 7, running: vec![] });
        assert!(Snapshot::parse("7", DateTime::default()).is_none());
    }

    #[test]
    fn the_later_of_two_snapshots_covers_the_other() {
        let in_order = ["10:20:10,14", "14:20:14", "20:20:", "20:23:20,21"].map(snapshot);
        for (index, earlier) in in_order.iter().enumerate() {
            for (other, later) in in_order.iter().enumerate() {
                assert_eq!(later.covers(earlier), other >= index, "{later:?} and {earlier:?}");
            }
        }
    }

    #[test]
    fn a_part_ends_where_the_later_snapshot_does() {
        let (first, second, third) = (snapshot("5:5:"), snapshot("5:9:5"), snapshot("12:12:"));
        let start = Cursor::whole(first.clone());
        assert_eq!(start.end(&second), Cursor::whole(second.clone()));
        let middle = start.at(&second, (6, 1));
        assert_eq!((middle.after(), middle.until()), ((6, 1), Some((9, &[5][..]))));
        // An entry that committed meanwhile belongs to the next part.
        assert_eq!(middle.at(&third, (7, 2)), start.at(&second, (7, 2)));
        assert_eq!(middle.end(&third), Cursor::whole(second));
    }
}
