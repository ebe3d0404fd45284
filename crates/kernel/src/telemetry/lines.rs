//! The lines of the log, for whoever keeps them beside stderr: exactly what is written there, and so as free of secrets.

use std::{
    io::{self, Write},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::mpsc;

/// Lines that wait to be received; a further one is dropped.
const MAX_WAITING: usize = 4096;
/// A longer line is dropped.
const MAX_BYTES: usize = 16 << 10;

static SENDER: OnceLock<mpsc::Sender<Bytes>> = OnceLock::new();
static DROPPED: AtomicU64 = AtomicU64::new(0);

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

/// Writes lines to stderr, and sends each to [`Lines`] without waiting.
pub(super) struct Tee;

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
        io::stderr().write_all(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
