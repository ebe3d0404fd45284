//! Reads a stored file as batches of rows: chunks go from Postgres to a thread that parses them and returns batches.
//!
//! Both channels are bounded, so that the parser is at most a batch or two ahead of the transactions, of which two run at a
//! time, and memory use is constant.

use std::{
    collections::HashMap,
    io::{self, Read},
};

use chrono::{DateTime, Utc};
use futures_util::{Stream, stream};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{operations::id::OperationId, support::id::TicketId};
use crate::{
    operations::model::RowError,
    support::import::{
        model::{self as import, Entry, Fault, Format, ReadOptions},
        store::{self, IncomingRow},
    },
};
use mainstay_kernel::{
    app::App,
    error::{Error, Reason, Result},
};

/// The rows per transaction: many enough to amortize its round trips, few enough to report progress and to keep lock
/// times short.
const ROWS: usize = 1000;

/// A batch of rows.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// The valid rows.
    pub(crate) rows: Vec<IncomingRow>,
    /// The invalid rows.
    pub(crate) errors: Vec<RowError>,
}

impl Batch {
    /// Returns the number of rows in the batch, including invalid ones.
    pub(crate) fn len(&self) -> usize {
        self.rows.len() + self.errors.len()
    }
}

/// The batches of a stored file.
pub(crate) struct Batches {
    batches: mpsc::Receiver<Batch>,
    parser: JoinHandle<Result<(), Fault>>,
    feeder: JoinHandle<Result<()>>,
}

impl Batches {
    /// Returns the batches after the first `skip` rows.
    pub(crate) fn new(app: &App, operation: OperationId, (format, options): (Format, ReadOptions), skip: i64) -> Self {
        let now = app.clock.now();
        let (feed, pieces) = mpsc::channel(2);
        let (sender, batches) = mpsc::channel(1);
        let feeder = tokio::spawn(feed_pieces(app.clone(), operation, feed));
        let parser = tokio::task::spawn_blocking(move || {
            let mut collector = Collector { sender, batch: Batch::default(), occurrences: HashMap::new(), skip, now };
            import::read(format, options, Pieces::new(pieces), |entry| collector.take(entry))?;
            collector.flush();
            Ok(())
        });
        Self { batches, parser, feeder }
    }

    /// Returns the batches as they are read.
    pub(crate) fn stream(&mut self) -> impl Stream<Item = Batch> {
        stream::poll_fn(|context| self.batches.poll_recv(context))
    }

    /// Returns the result of parsing.
    ///
    /// # Errors
    /// The inner error is a fault of the file as a whole; the outer one is any error that prevented reading it.
    pub(crate) async fn end(self) -> Result<Result<(), Fault>> {
        drop(self.batches);
        let parsed = self.parser.await.map_err(Error::internal)?;
        match (parsed, self.feeder.await.map_err(Error::internal)?) {
            // The parser saw a broken pipe; the feeder has the cause.
            (Err(Fault::Read(_)), Err(error)) => Err(error),
            (Err(Fault::Read(error)), Ok(())) => Err(Error::internal(error)),
            (parsed, _) => Ok(parsed),
        }
    }
}

/// Counts the rows of a stored file.
///
/// # Errors
/// The inner error is a fault of the file as a whole; the outer one is any error that prevented reading it.
pub(crate) async fn count(
    app: &App,
    operation: OperationId,
    (format, options): (Format, ReadOptions),
) -> Result<Result<i64, Fault>> {
    let (feed, pieces) = mpsc::channel(2);
    let feeder = tokio::spawn(feed_pieces(app.clone(), operation, feed));
    let counter = tokio::task::spawn_blocking(move || {
        let mut rows = 0;
        let read = import::read(format, options, Pieces::new(pieces), |_| {
            rows += 1;
            true
        });
        read.map(|()| rows)
    });
    match (counter.await.map_err(Error::internal)?, feeder.await.map_err(Error::internal)?) {
        (Err(Fault::Read(_)), Err(error)) => Err(error),
        (Err(Fault::Read(error)), Ok(())) => Err(Error::internal(error)),
        (count, _) => Ok(count),
    }
}

/// A chunk of the file; `Err` for a failed read.
type Piece = Result<Vec<u8>, ()>;

async fn feed_pieces(app: App, operation: OperationId, feed: mpsc::Sender<Piece>) -> Result<()> {
    for position in 0.. {
        let piece =
            app.database.autocommit(async move |connection| store::chunk(connection, operation, position).await).await;
        let piece = match piece {
            Ok(None) => break,
            Ok(Some(piece)) => piece,
            Err(error) => {
                feed.send(Err(())).await.ok();
                return Err(error);
            }
        };
        if feed.send(Ok(piece)).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// The parser's view of the file.
struct Pieces {
    pieces: mpsc::Receiver<Piece>,
    piece: Vec<u8>,
    at: usize,
}

impl Pieces {
    fn new(pieces: mpsc::Receiver<Piece>) -> Self {
        Self { pieces, piece: Vec::new(), at: 0 }
    }
}

impl Read for Pieces {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            match self.pieces.blocking_recv() {
                None => return Ok(0),
                Some(Ok(piece)) => (self.piece, self.at) = (piece, 0),
                Some(Err(())) => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
        let read = (&self.piece[self.at..]).read(out)?;
        self.at += read;
        Ok(read)
    }
}

/// Collects rows into batches.
struct Collector {
    sender: mpsc::Sender<Batch>,
    batch: Batch,
    /// The number of occurrences of each row, counted from the first row even if a run resumes in the middle.
    occurrences: HashMap<[u8; 32], i32>,
    skip: i64,
    now: DateTime<Utc>,
}

impl Collector {
    fn take(&mut self, entry: Entry) -> bool {
        let skipped = self.skip > 0;
        self.skip -= i64::from(skipped);
        match entry.row {
            Ok(row) => {
                let occurrence = self.occurrences.entry(row.hash).and_modify(|count| *count += 1).or_insert(1);
                if !skipped {
                    let id = TicketId::generate(self.now);
                    self.batch.rows.push(IncomingRow { id, occurrence: *occurrence, row });
                }
            }
            Err(message) if !skipped => {
                let code = Reason::ValidationFailed.facts().code.to_owned();
                self.batch.errors.push(RowError { line: entry.line, code, message });
            }
            Err(_) => {}
        }
        self.batch.len() < ROWS || self.flush()
    }

    /// Sends the batch. Returns `false` if the receiver is gone.
    fn flush(&mut self) -> bool {
        let batch = std::mem::take(&mut self.batch);
        batch.len() == 0 || self.sender.blocking_send(batch).is_ok()
    }
}
