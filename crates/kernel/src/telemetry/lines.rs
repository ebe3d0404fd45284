//! The lines of the log: written to stderr, and sent to a [`LineReceiver`], which stores them. Both get the same text, so
//! the stored lines are as free of secrets as those on stderr.
//!
//! A busy server writes thousands of lines a second, and each `write` costs as much as making the line. So a worker thread
//! of the runtime ([`batch_writes`]) only adds its lines to a batch, and writes the batch before it parks: a line never waits
//! longer than its thread is busy. Other threads write at once, and so does every thread for a warning or an error. A process
//! that is killed may lose what its threads have logged since they last parked, at most 4 KiB.
//!
//! Nobody waits for stderr: a collector of logs that hangs would stop the server. While stderr accepts nothing, up to 1 MiB of
//! lines wait; further ones are dropped and counted. Those that wait are written with the next line, or before a thread parks.

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

use batch::Batch;

/// How many lines may wait to be received; a further one is dropped.
const CHANNEL_CAPACITY: usize = 4096;
/// A longer line is written to stderr, and dropped for the receiver.
const MAX_SENT_BYTES: usize = 16 << 10;
/// A write of at most this size into a pipe is atomic, and does not block once the pipe is ready: `PIPE_BUF`, which is
/// 4096 on Linux, and on other systems at least as much as POSIX requires.
const MAX_BATCH_BYTES: usize = if cfg!(target_os = "linux") { 4096 } else { 512 };
/// The bytes that wait for stderr; a further line is dropped.
const MAX_UNWRITTEN_BYTES: usize = 1 << 20;
/// How long the end of the process waits for stderr.
const LAST_LINES: Duration = Duration::from_secs(1);

static SENDER: OnceLock<mpsc::Sender<Bytes>> = OnceLock::new();
static DROPPED: AtomicU64 = AtomicU64::new(0);
static BATCH: Mutex<Batch> = Mutex::new(Batch::new(MAX_BATCH_BYTES, MAX_UNWRITTEN_BYTES));

thread_local! {
    /// Whether this thread runs tasks, and so writes its batch when it parks.
    static IS_BATCHING: Cell<bool> = const { Cell::new(false) };
}

/// Lets the worker threads of a runtime write their lines in batches.
pub fn batch_writes(runtime: &mut runtime::Builder) -> &mut runtime::Builder {
    let before_park = || {
        IS_BATCHING.set(false);
        flush();
    };
    runtime.on_thread_park(before_park).on_thread_unpark(|| IS_BATCHING.set(true))
}

/// Writes the batch, unless another thread holds it: that one writes it now or before it parks.
fn flush() {
    let mut batch = match BATCH.try_lock() {
        Ok(batch) => batch,
        Err(TryLockError::Poisoned(batch)) => batch.into_inner(),
        Err(TryLockError::WouldBlock) => return,
    };
    let lost = batch.write_to(&mut io::stderr());
    drop(batch);
    count_lost(lost);
}

/// Writes the last lines, for which it waits up to a second while stderr takes nothing; whoever logs meanwhile waits as
/// well. To be called before the process ends.
pub fn write_last() {
    lock().write_until(Instant::now() + LAST_LINES, &mut io::stderr());
}

fn lock() -> MutexGuard<'static, Batch> {
    BATCH.lock().unwrap_or_else(PoisonError::into_inner)
}

fn count_lost(lines: usize) {
    if lines > 0 {
        metrics::counter!("mainstay_log_lines_dropped_total").increment(lines as u64);
    }
}

/// Receives the lines that this process logs from now on, in JSON.
#[derive(Debug)]
pub struct LineReceiver(mpsc::Receiver<Bytes>);

impl LineReceiver {
    /// Starts to receive; `None` if there is a receiver already.
    pub fn subscribe() -> Option<Self> {
        let (sender, receiver) = mpsc::channel(CHANNEL_CAPACITY);
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

/// Makes the writer of a line.
pub(super) struct LogWriter;

impl<'w> MakeWriter<'w> for LogWriter {
    type Writer = Tee;

    fn make_writer(&'w self) -> Tee {
        Tee { is_urgent: true }
    }

    fn make_writer_for(&'w self, metadata: &Metadata<'_>) -> Tee {
        Tee { is_urgent: *metadata.level() <= Level::WARN }
    }
}

/// Writes lines to stderr, and sends each to [`LineReceiver`], without waiting for either. It never fails: whoever is told of
/// a line that can't be written would write that to stderr, too.
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
            let is_sent = line.len() <= MAX_SENT_BYTES && sender.try_send(Bytes::copy_from_slice(line)).is_ok();
            if !is_sent {
                DROPPED.fetch_add(1, Ordering::Relaxed);
            }
        }
        let mut batch = lock();
        let mut lost = batch.add(line, &mut io::stderr());
        if self.is_urgent || !IS_BATCHING.get() {
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
