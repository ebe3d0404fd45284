//! The subscription of one watcher: it catches up from its position, then follows the shared feed.

use std::{any::Any, ops::Range, sync::Arc};

use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{Cursor, Entry, Feed, Snapshot, feed::Batch};
use crate::error::{Reason, Result};

/// A watcher. It buffers no more than a batch. A watcher that falls behind the feed receives `WATCH_LAGGED`.
pub struct Watch<E: Entry> {
    feed: Feed<E>,
    cursor: Cursor,
    receiver: Receiver<Arc<Batch<E>>>,
    /// Whether the entries before the subscription are still to be read.
    is_behind: bool,
    /// Whether the watcher has caught up and taken no batch since. Meanwhile the feed may have dropped batches.
    has_caught_up: bool,
}

debug_fields!(Watch<E: Entry>: cursor);

/// The number of entries in a part of a page. The resources of a part stay in memory until the watcher takes them.
const PART: usize = 32;

/// The entries that a watcher receives at once.
pub struct Page<E: Entry> {
    batch: Arc<Batch<E>>,
    range: Range<usize>,
    start: Cursor,
    previous: Option<Snapshot>,
}

debug_fields!(Page<E: Entry>: start);

impl<E: Entry> Page<E> {
    /// The entries that are new to the watcher, in order.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &E> {
        let is_known = |entry: &E| self.previous.as_ref().is_some_and(|previous| previous.contains(entry.position().0));
        self.batch.entries[self.range.clone()].iter().filter(move |entry| !is_known(entry))
    }

    /// Splits the page into consecutive parts.
    pub fn parts(self) -> impl Iterator<Item = Self> {
        let Self { batch, range, start, previous } = self;
        let end = range.end;
        range.step_by(PART).map(move |first| {
            let range = first..end.min(first + PART);
            Self { batch: batch.clone(), range, start: start.clone(), previous: previous.clone() }
        })
    }

    /// Returns the position after an entry.
    pub fn after(&self, entry: &E) -> Cursor {
        let position = entry.position();
        let is_last = self.batch.entries.last().is_some_and(|last| last.position() == position);
        match is_last && !self.batch.is_full() {
            true => self.start.end(&self.batch.snapshot),
            false => self.start.at(&self.batch.snapshot, position),
        }
    }

    /// Loads the resources of these entries, including entries that the watcher has already received. All watchers share the result:
    /// the first caller loads it, from these entries.
    pub async fn load<T: Any + Send + Sync>(
        &self,
        name: &'static str,
        load: impl AsyncFnOnce(&[E]) -> Result<T>,
    ) -> Result<Arc<T>> {
        let entries = &self.batch.entries[self.range.clone()];
        self.batch.load(name, self.range.start, async || load(entries).await).await
    }
}

impl<E: Entry> Feed<E> {
    /// Subscribes: from the present, or from a position.
    pub async fn watch(&self, from: Option<Cursor>) -> Result<Watch<E>> {
        let (now, receiver) = self.subscribe().await?;
        let (feed, is_behind) = (self.clone(), from.is_some());
        Ok(Watch { feed, cursor: from.unwrap_or(now), receiver, is_behind, has_caught_up: false })
    }
}

impl<E: Entry> Watch<E> {
    /// Waits for the next entries. Cancel safe.
    ///
    /// # Errors
    /// `WATCH_LAGGED` if the watcher fell behind the feed; `RESUME_TOKEN_EXPIRED` if its first position belongs to
    /// another database; any error of Postgres during the catch-up.
    pub async fn next(&mut self) -> Result<Page<E>> {
        loop {
            if self.is_behind {
                let page = self.catch_up().await?;
                if page.entries().next().is_some() {
                    return Ok(page);
                }
                continue;
            }
            let batch = match self.receiver.recv().await {
                Ok(batch) => batch,
                // The catch-up took so long that the feed dropped batches. The watcher is slightly behind: it catches
                // up again.
                Err(RecvError::Lagged(_)) if self.has_caught_up => {
                    (self.is_behind, self.has_caught_up) = (true, false);
                    continue;
                }
                Err(RecvError::Lagged(_)) => return Err(Reason::WatchLagged.into()),
                Err(RecvError::Closed) => return Err(Reason::Unavailable.into()),
            };
            self.has_caught_up = false;
            if let Some(page) = self.take(batch) {
                return Ok(page);
            }
        }
    }

    /// Returns whether the entries before the subscription are still to be read.
    pub fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Moves to the position of the feed if every batch was taken, and returns the position.
    pub fn advance_to_present(&mut self) -> Cursor {
        let position = self.feed.position_if_drained(&self.receiver).filter(|_| !self.is_behind);
        let is_later = |position: &Cursor| position.part.is_none() && position.from.covers(&self.cursor.from);
        if let Some(position) = position.filter(is_later) {
            self.cursor = position;
        }
        self.cursor.clone()
    }

    /// Reads a batch of earlier entries. The feed, to which the watcher subscribed before, delivers later commits.
    async fn catch_up(&mut self) -> Result<Page<E>> {
        let read = self.feed.read_after(&self.cursor).await?;
        // A snapshot before that of the token comes from another database, or from a restored one.
        if read.snapshot.end < self.cursor.from.end {
            return Err(Reason::ResumeTokenExpired.into());
        }
        let start = self.cursor.clone();
        let batch = Arc::new(Batch::new(start.clone(), read));
        // A part ends at an earlier snapshot. One more read covers what committed after that snapshot.
        self.is_behind = batch.is_full() || start.part.is_some();
        self.has_caught_up = !self.is_behind;
        self.cursor = batch.end();
        Ok(Page { range: 0..batch.entries.len(), batch, start, previous: None })
    }

    /// Takes a batch of the feed; `None` if no entry is new to this watcher.
    fn take(&mut self, batch: Arc<Batch<E>>) -> Option<Page<E>> {
        let previous = self.cursor.from.clone();
        let end = batch.end();
        if previous.covers(latest(&end)) {
            return None;
        }
        // The watcher may have read more than the feed had at the beginning of the batch.
        let from = if previous.covers(&batch.start.from) { previous.clone() } else { batch.start.from.clone() };
        let start = Cursor { from: from.clone(), part: batch.start.part.clone() };
        self.cursor = match end.part {
            Some(part) => Cursor { from, part: Some(part) },
            None => end,
        };
        let page = Page { range: 0..batch.entries.len(), batch, start, previous: Some(previous) };
        let is_new = page.entries().next().is_some();
        is_new.then_some(page)
    }
}

/// The latest snapshot that a position covers at least in part.
fn latest(cursor: &Cursor) -> &Snapshot {
    cursor.part.as_ref().map_or(&cursor.from, |(until, _)| until)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;
    use crate::{
        changes::{Change, EntryBatch, RecordedChange},
        id::AccountId,
    };

    fn snapshot(text: &str) -> Snapshot {
        Snapshot::parse(text, DateTime::default()).expect("a snapshot")
    }

    fn recorded_change(writer: i64) -> RecordedChange {
        let (resource, account) = (Uuid::nil(), AccountId(Uuid::nil()));
        let change =
            Change { topic: "support.ticket".into(), resource, account, principal: None, version: 1, is_deleted: true };
        RecordedChange { change, position: (writer, 1) }
    }

    /// The watcher caught up beyond the beginning of a batch of the feed.
    #[test]
    fn entries_that_a_watcher_has_read_alone_are_not_repeated() {
        let start = Cursor::whole(snapshot("10:10:"));
        let read = EntryBatch { snapshot: snapshot("30:30:"), entries: [12, 15, 22].map(recorded_change).into() };
        let batch = Arc::new(Batch::new(start.clone(), read));
        let page = Page { range: 0..3, batch, start, previous: Some(snapshot("20:20:15")) };
        let writers: Vec<_> = page.entries().map(|entry| entry.position().0).collect();
        assert_eq!(writers, [15, 22]);
    }
}
