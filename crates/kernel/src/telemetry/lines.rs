//! The lines of the log: written to stderr, and sent to whoever keeps them too, so exactly what is written there, and as
//! free of secrets.
//!
//! A busy server writes thousands of lines a second, and each `write` costs as much as to make the line. So a thread that
//! runs tasks ([`write_together`]) leaves its lines together, and writes them at once before it sleeps: when there is
//! nothing else to do, no line waits. All others write at once, and so do all for a warning or an error. A process that is
//! killed may take along what it has logged since it last slept, 4 KiB of it at most.
//!
//! Nobody waits for stderr: a collector of logs that hangs would stop the server. While it takes nothing, lines wait, 1 MiB
//! of them, and further ones are dropped and counted. Those that wait are written with the next line, or before the next
//! sleep of a thread.

mod batch;

use std::{
    cell::Cell,
    io::{self, Write},
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError, TryLockError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::{runtime, sync::mpsc};
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use batch::{Batch, Sink as _};

/// Lines that wait to be received; a further one is dropped.
const MAX_WAITING: usize = 4096;
/// A longer line is not received.
const MAX_BYTES: usize = 16 << 10;
/// So much is written into a pipe undivided, whoever else writes there, and without a wait once the pipe is ready
/// (`PIPE_BUF` of Linux).
const MAX_BATCH_BYTES: usize = 4096;
/// The bytes that wait for stderr; a further line is dropped.
const MAX_UNWRITTEN_BYTES: usize = 1 << 20;
/// How long the end of the process waits for stderr.
const LAST_LINES: Duration = Duration::from_secs(1);

static SENDER: OnceLock<mpsc::Sender<Bytes>> = OnceLock::new();
static DROPPED: AtomicU64 = AtomicU64::new(0);
static BATCH: Mutex<Batch> = Mutex::new(Batch::new(MAX_BATCH_BYTES, MAX_UNWRITTEN_BYTES));

thread_local! {
    /// Whether this thread runs tasks, and writes what it has left before it sleeps.
    static WRITES_LATER: Cell<bool> = const { Cell::new(false) };
}

/// Has the threads of a runtime write their lines together.
pub fn write_together(runtime: &mut runtime::Builder) -> &mut runtime::Builder {
    let before_sleep = || {
        WRITES_LATER.set(false);
        write_out();
    };
    runtime.on_thread_park(before_sleep).on_thread_unpark(|| WRITES_LATER.set(true))
}

/// Writes the lines that were left. Unless somebody has them in hand, who then either writes them or does so before its
/// sleep.
fn write_out() {
    let mut batch = match BATCH.try_lock() {
        Ok(batch) => batch,
        Err(TryLockError::Poisoned(batch)) => batch.into_inner(),
        Err(TryLockError::WouldBlock) => return,
    };
    let lost = batch.write_to(&mut io::stderr());
    drop(batch);
    count_lost(lost);
}

/// Writes the last lines, for which it waits up to a second while stderr takes nothing. To be called before the process
/// ends.
pub fn write_last() {
    let (mut batch, deadline) = (lock(), Instant::now() + LAST_LINES);
    while !batch.is_empty() && io::stderr().is_ready(deadline.saturating_duration_since(Instant::now())) {
        batch.write_to(&mut io::stderr());
    }
}

fn lock() -> MutexGuard<'static, Batch> {
    BATCH.lock().unwrap_or_else(PoisonError::into_inner)
}

fn count_lost(lines: usize) {
    if lines > 0 {
        metrics::counter!("mainstay_log_lines_dropped_total").increment(lines as u64);
    }
}

/// The lines of this process, in JSON, from now on.
#[derive(Debug)]
pub struct Lines(mpsc::Receiver<Bytes>);

impl Lines {
    /// Returns the lines; `None` if somebody else has them.
    pub fn receive() -> Option<Self> {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        SENDER.set(sender).is_ok().then_some(Self(receiver))
    }

    /// Waits for lines and adds at most `limit` of them; returns their number.
    pub async fn next(&mut self, lines: &mut Vec<Bytes>, limit: usize) -> usize {
        self.0.recv_many(lines, limit).await
    }

    /// Returns how many lines were dropped since the last call, because they came too fast or were too long.
    pub fn dropped(&self) -> u64 {
        DROPPED.swap(0, Ordering::Relaxed)
    }
}

/// Makes the writers of lines.
pub(super) struct Log;

impl<'w> MakeWriter<'w> for Log {
    type Writer = Tee;

    fn make_writer(&'w self) -> Tee {
        Tee { is_urgent: true }
    }

    fn make_writer_for(&'w self, metadata: &Metadata<'_>) -> Tee {
        Tee { is_urgent: *metadata.level() <= Level::WARN }
    }
}

/// Writes lines to stderr, and sends each to [`Lines`], without waiting for either. It never fails: who hears of a line that
/// can't be written would write of that to stderr, too.
pub(super) struct Tee {
    is_urgent: bool,
}

impl Write for Tee {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.write_all(line)?;
        Ok(line.len())
    }

    /// The log writes each line at once.
    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        if let Some(sender) = SENDER.get() {
            let is_sent = line.len() <= MAX_BYTES && sender.try_send(Bytes::copy_from_slice(line)).is_ok();
            if !is_sent {
                DROPPED.fetch_add(1, Ordering::Relaxed);
            }
        }
        let mut batch = lock();
        let mut lost = batch.add(line, &mut io::stderr());
        if self.is_urgent || !WRITES_LATER.get() {
            lost += batch.write_to(&mut io::stderr());
        }
        drop(batch);
        count_lost(lost);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        count_lost(lock().write_to(&mut io::stderr()));
        Ok(())
    }
}
