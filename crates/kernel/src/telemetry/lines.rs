//! The lines of the log: written to stderr, and sent to a [`LineReceiver`], which stores them. Both receive the same text, so
//! the stored lines are as free of secrets as those on stderr.
//!
//! Requests do not wait for stderr, which may be a file on a busy disk, or the pipe of a collector that hangs: a line is added
//! to a buffer, which a separate thread writes. If the thread is idle, it writes the line at once; lines within the next 5 ms
//! are written together. A busy server logs thousands of lines per second, and each `write`, like each wake-up of the thread,
//! costs as much as the formatting of a line. A process that is killed may lose the lines of the last 5 ms.
//!
//! While stderr blocks, 1 MiB of lines waits; further lines are dropped and counted. The end of the process waits for the last
//! lines, at most a second. A thread that panics, which may end the process, waits too, unless stderr has been blocked for that
//! second already.
//!
//! `tracing-appender` is not used, for three reasons. It wakes its thread for every line: 2.7 µs of CPU more per line at 10,000
//! lines per second, and 14 µs at 1,000, which is 3 to 16 % of the CPU of a get (docs/notes/performance-history.md, The log).
//! Its bound is a number of lines, not of bytes. It ignores failed writes, so that lines are neither retried nor counted.

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

/// The maximum number of lines that wait for the receiver; further lines are dropped.
const CHANNEL_CAPACITY: usize = 4096;
/// The maximum length of a received line, in bytes. A longer one is only written to stderr.
const MAX_SENT_BYTES: usize = 16 << 10;
/// `PIPE_BUF`: a write of at most this size into a pipe is atomic, so that a process that ends meanwhile leaves no partial line.
/// It is 4096 on Linux, and at least 512 by POSIX.
const MAX_BATCH_BYTES: usize = if cfg!(target_os = "linux") { 4096 } else { 512 };
/// The maximum number of bytes that wait for stderr; further lines are dropped.
const MAX_UNWRITTEN_BYTES: usize = 1 << 20;
/// The time for which lines are collected after a write.
const PAUSE: Duration = Duration::from_millis(5);
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

/// Prints the failure of a program to stderr, after the lines so far, without a wait before [`write_last`].
///
/// # Panics
/// If this is the first output, and the system cannot start a thread for it.
pub fn print(text: &str) {
    start();
    add(text.as_bytes());
}

/// Waits until the lines so far are written, at most a second. To be called before the process ends.
pub fn write_last() {
    BUFFER.wait(LAST_LINES);
}

/// As [`write_last`], for a process that may continue: the time for which stderr has been blocked counts.
pub(super) fn write_unless_stuck() {
    BUFFER.wait_unless_stuck(LAST_LINES);
}

/// Receives the subsequent lines of this process, in JSON.
#[derive(Debug)]
pub struct LineReceiver(mpsc::Receiver<Bytes>);

impl LineReceiver {
    /// Starts to receive; `None` if there is another receiver.
    pub fn subscribe() -> Option<Self> {
        let (sender, receiver) = mpsc::channel(CHANNEL_CAPACITY);
        SENDER.set(sender).is_ok().then_some(Self(receiver))
    }

    /// Waits for lines, adds at most `limit` of them, and returns their number.
    pub async fn next(&mut self, lines: &mut Vec<Bytes>, limit: usize) -> usize {
        self.0.recv_many(lines, limit).await
    }

    /// Returns the number of lines that were dropped since the last call, because they were too frequent or too long.
    pub fn dropped(&self) -> u64 {
        DROPPED.swap(0, Ordering::Relaxed)
    }
}

/// Writes lines to stderr, and sends each to [`LineReceiver`], without a wait. It never fails, because a failure could only be
/// reported to stderr.
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
