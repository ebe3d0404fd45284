//! One watcher's position: first what it has missed, then what is read for all.

use std::{any::Any, ops::Range, sync::Arc};

use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{Cursor, Entry, Feed, Snapshot, feed::Batch};
use crate::error::{Reason, Result};

/// A watcher. It holds no more than a batch; what it does not take in time, it misses, and is told so.
pub struct Watch<E: Entry> {
    feed: Feed<E>,
    cursor: Cursor,
    receiver: Receiver<Arc<Batch<E>>>,
    /// Whether it still has to read what it missed before it began.
    is_behind: bool,
    /// Whether it has read that and taken no batch since: of what was read for all meanwhile, it may have missed some.
    has_caught_up: bool,
}

impl<E: Entry> std::fmt::Debug for Watch<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}

/// The entries of a part of a page. What belongs to them is in memory while a watcher does not take it.
const PART: usize = 32;

/// What a watcher gets at once.
pub struct Page<E: Entry> {
    batch: Arc<Batch<E>>,
    /// Those of the batch that belong to it.
    range: Range<usize>,
    /// The position before the page, as far as this watcher has read.
    start: Cursor,
    /// What the watcher has read of the batch before.
    previous: Option<Snapshot>,
}

impl<E: Entry> std::fmt::Debug for Page<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Page after {:?}", self.start)
    }
}

impl<E: Entry> Page<E> {
    /// The entries that the watcher has not had, in order.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &E> {
        let is_known = |entry: &E| self.previous.as_ref().is_some_and(|previous| previous.contains(entry.position().0));
        self.batch.entries[self.range.clone()].iter().filter(move |entry| !is_known(entry))
    }

    /// Splits the page into parts, whose entries follow each other.
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

    /// Returns what belongs to these entries, and to those among them that the watcher has had. Whoever watches gets the same:
    /// the first who asks has it loaded, from these entries.
    ///
    /// # Errors
    /// Any error of `load`.
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
    /// Begins to watch: from now on, or from a position.
    ///
    /// # Errors
    /// Any error of Postgres.
    pub async fn watch(&self, from: Option<Cursor>) -> Result<Watch<E>> {
        let (now, receiver) = self.subscribe().await?;
        let (feed, is_behind) = (self.clone(), from.is_some());
        Ok(Watch { feed, cursor: from.unwrap_or(now), receiver, is_behind, has_caught_up: false })
    }
}

impl<E: Entry> Watch<E> {
    /// Waits for the next entries. Safe to cancel.
    ///
    /// # Errors
    /// `WATCH_LAGGED` if too much was read for all before this watcher took it, `RESUME_TOKEN_EXPIRED` if it began at a
    /// position of another database, and any error of Postgres while it reads what it has missed.
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
                // It took so long to catch up that more was read for all than is kept: it is not far behind that.
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

    /// Whether it has yet to read what it had missed when it began.
    pub fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Returns the present position.
    pub fn position(&mut self) -> Cursor {
        // If it has taken all that was read for all, it is as far as that.
        let reader = self.feed.position(&self.receiver).filter(|_| !self.is_behind);
        let is_later = |reader: &Cursor| reader.part.is_none() && reader.from.covers(&self.cursor.from);
        if let Some(reader) = reader.filter(is_later) {
            self.cursor = reader;
        }
        self.cursor.clone()
    }

    /// Reads a batch of what was missed. The reader of all, which was subscribed to before, reads what commits later.
    async fn catch_up(&mut self) -> Result<Page<E>> {
        let read = self.feed.read_after(&self.cursor).await?;
        if read.snapshot.end < self.cursor.from.end {
            return Err(Reason::ResumeTokenExpired.into());
        }
        let start = self.cursor.clone();
        let batch = Arc::new(Batch::new(start.clone(), read));
        // The end of a part is that of an earlier snapshot: one more look shows what is beyond it.
        self.is_behind = batch.is_full() || start.part.is_some();
        self.has_caught_up = !self.is_behind;
        self.cursor = batch.end();
        Ok(Page { range: 0..batch.entries.len(), batch, start, previous: None })
    }

    /// Takes a batch that was read for all; `None` if nothing in it is new to this watcher.
    fn take(&mut self, batch: Arc<Batch<E>>) -> Option<Page<E>> {
        let previous = self.cursor.from.clone();
        let end = batch.end();
        if previous.covers(latest(&end)) {
            return None;
        }
        // It may have read more than the reader had when the batch began.
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

/// The last snapshot of which a position has read anything.
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

    /// It caught up beyond the beginning of a batch that was read for all.
    #[test]
    fn what_a_watcher_has_read_alone_is_not_repeated() {
        let start = Cursor::whole(snapshot("10:10:"));
        let read = EntryBatch { snapshot: snapshot("30:30:"), entries: [12, 15, 22].map(recorded_change).into() };
        let batch = Arc::new(Batch::new(start.clone(), read));
        let page = Page { range: 0..3, batch, start, previous: Some(snapshot("20:20:15")) };
        let writers: Vec<_> = page.entries().map(|entry| entry.position().0).collect();
        assert_eq!(writers, [15, 22]);
    }
}
