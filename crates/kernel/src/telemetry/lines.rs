//! Asynchronous log output: lines go to stderr and to a [`LineReceiver`], which stores them. Both receive the same
//! text, so that stored lines are as free of secrets as those on stderr.
//!
//! Logging never blocks on stderr, which may be a file on a busy disk or the pipe of a hung collector. A log call
//! appends the line to a buffer, and a separate thread writes it. An idle thread writes a line at once; lines of the
//! next 5 ms are then batched. A busy server logs thousands of lines per second, and a `write` or a wake-up of the
//! thread costs as much as formatting a line. A killed process may lose the lines of its last 5 ms.
//!
//! While stderr blocks, up to 1 MiB of lines are buffered; further ones are dropped and counted. The end of the process
//! waits for the last lines, for at most a second. A panicking thread waits too, because the panic may end the process,
//! unless stderr has already blocked for that second.

mod buffer;

use std::{
    io::{self, Write},
    sync::{
        Once, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::mpsc;

use buffer::{Buffer, pause};

/// The capacity of the channel to the receiver; further lines are dropped.
const CHANNEL_CAPACITY: usize = 4096;
/// The most bytes of a line for the receiver. A longer one is dropped there, and still written to stderr.
const MAX_SENT_BYTES: usize = 16 << 10;
/// A write of at most this size to a pipe is atomic (`PIPE_BUF`), so that a process that ends meanwhile leaves no
/// partial line. It is 4096 on Linux. Other systems have at least the minimum of POSIX.
const MAX_BATCH_BYTES: usize = if cfg!(target_os = "linux") { 4096 } else { 512 };
/// The most buffered bytes for stderr; further lines are dropped.
const MAX_UNWRITTEN_BYTES: usize = 1 << 20;
/// The time for which lines are batched after a write.
const PAUSE: Duration = Duration::from_millis(5);
/// The time for which the end of the process waits for stderr.
const LAST_LINES: Duration = Duration::from_secs(1);

static SENDER: OnceLock<mpsc::Sender<Bytes>> = OnceLock::new();
static DROPPED: AtomicU64 = AtomicU64::new(0);
static BUFFER: Buffer = Buffer::new(MAX_BATCH_BYTES, MAX_UNWRITTEN_BYTES);

/// Starts the thread that writes to stderr, once.
pub(super) fn start() {
    static START: Once = Once::new();
    START.call_once(|| {
        thread::Builder::new().name("log".to_owned()).spawn(write_all).expect("a further thread");
    });
}

/// Writes lines until the process ends.
fn write_all() {
    loop {
        count_lost(BUFFER.write_next(&mut io::stderr()));
        pause(PAUSE);
    }
}

fn add(line: &[u8]) {
    if !BUFFER.add(line) {
        count_lost(1);
    }
}

fn count_lost(lines: usize) {
    if lines > 0 {
        metrics::counter!("mainstay_log_lines_dropped_total").increment(lines as u64);
    }
}

/// Prints to stderr, after the lines so far, without waiting: the error of a failed program. [`write_last`] waits for
/// it.
///
/// # Panics
/// If this is the first output, and the system can't start the thread for it.
pub fn print(text: &str) {
    start();
    add(text.as_bytes());
}

/// Waits until stderr has taken the lines so far, for at most a second. It must be called before the process exits.
pub fn write_last() {
    BUFFER.wait(LAST_LINES);
}

/// Like [`write_last`], for a process that may continue. The time for which stderr has already blocked counts.
pub(super) fn write_unless_stuck() {
    BUFFER.wait_unless_stuck(LAST_LINES);
}

/// Receives the lines that this process logs from now on, as JSON.
#[derive(Debug)]
pub struct LineReceiver(mpsc::Receiver<Bytes>);

impl LineReceiver {
    /// Subscribes; `None` if there is a receiver already.
    pub fn subscribe() -> Option<Self> {
        let (sender, receiver) = mpsc::channel(CHANNEL_CAPACITY);
        SENDER.set(sender).is_ok().then_some(Self(receiver))
    }

    /// Waits for lines, adds at most `limit` of them, and returns their number.
    pub async fn next(&mut self, lines: &mut Vec<Bytes>, limit: usize) -> usize {
        self.0.recv_many(lines, limit).await
    }

    /// Returns the number of lines that were dropped since the last call, because the channel was full or they were too
    /// long.
    pub fn dropped(&self) -> u64 {
        DROPPED.swap(0, Ordering::Relaxed)
    }
}

/// Writes lines to stderr, and sends each to the [`LineReceiver`], without waiting for either. It never fails, because
/// the error of a line would be reported on stderr as well.
pub(super) struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.write_all(line)?;
        Ok(line.len())
    }

    /// The formatter writes each line with one call.
    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        if let Some(sender) = SENDER.get() {
            let is_sent = line.len() <= MAX_SENT_BYTES && sender.try_send(Bytes::copy_from_slice(line)).is_ok();
            if !is_sent {
                DROPPED.fetch_add(1, Ordering::Relaxed);
            }
        }
        add(line);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
