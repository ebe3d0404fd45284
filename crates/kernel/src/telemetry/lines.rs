//! The lines of the log: written to stderr, and sent to a [`LineReceiver`], which stores them. Both get the same text, so
//! the stored lines are as free of secrets as those on stderr.
//!
//! Nobody waits for stderr, which may be a file on a busy disk, or the pipe of a collector that hangs: whoever logs only adds
//! the line to a buffer, which a thread of its own writes. A line that finds the thread idle is written at once, and those
//! that come within the next 5 ms are written together: a busy server logs thousands of lines a second, and each `write`
//! costs as much as making a line, as does waking the thread. A process that is killed may lose what it logged in the last
//! 5 ms.
//!
//! While stderr accepts nothing, 1 MiB of lines waits; further ones are dropped and counted. Whoever ends the process waits
//! for the last lines, for a second at most. So does a thread that panics, which may end the process too, unless stderr has
//! accepted nothing for that second already.

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

/// How many lines may wait to be received; a further one is dropped.
const CHANNEL_CAPACITY: usize = 4096;
/// A longer line is written to stderr, and dropped for the receiver.
const MAX_SENT_BYTES: usize = 16 << 10;
/// A write of at most this size into a pipe is atomic, so that a process that ends meanwhile leaves no part of a line:
/// `PIPE_BUF`, which is 4096 on Linux, and on other systems at least as much as POSIX requires.
const MAX_BATCH_BYTES: usize = if cfg!(target_os = "linux") { 4096 } else { 512 };
/// The bytes that wait for stderr; a further line is dropped.
const MAX_UNWRITTEN_BYTES: usize = 1 << 20;
/// How long lines are collected after others were written.
const PAUSE: Duration = Duration::from_millis(5);
/// How long the end of the process waits for stderr.
const LAST_LINES: Duration = Duration::from_secs(1);

static SENDER: OnceLock<mpsc::Sender<Bytes>> = OnceLock::new();
static DROPPED: AtomicU64 = AtomicU64::new(0);
static BUFFER: Buffer = Buffer::new(MAX_BATCH_BYTES, MAX_UNWRITTEN_BYTES);

/// Starts the thread that writes to stderr, unless it runs.
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

/// Prints to stderr, behind the lines so far: why a program fails. Nobody waits for this either before [`write_last`].
///
/// # Panics
/// If this is the first that is written, and the system can't start a thread for it.
pub fn print(text: &str) {
    start();
    add(text.as_bytes());
}

/// Waits until stderr has taken the lines so far, for a second at most. To be called before the process ends.
pub fn write_last() {
    BUFFER.wait(LAST_LINES);
}

/// As [`write_last`], for a process that may go on: the time for which stderr has taken nothing already counts.
pub(super) fn write_unless_stuck() {
    BUFFER.wait_unless_stuck(LAST_LINES);
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

/// Writes lines to stderr, and sends each to [`LineReceiver`], without waiting for either. It never fails: whoever is told of
/// a line that can't be written would write that to stderr, too.
pub(super) struct LogWriter;

impl Write for LogWriter {
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
        add(line);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
