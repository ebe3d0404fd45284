//! Backtraces of errors that are defects: at most one a second, because each costs milliseconds to read.

use std::{
    backtrace::Backtrace,
    sync::Mutex,
    time::{Duration, Instant},
};

/// The time between two backtraces.
const PAUSE: Duration = Duration::from_secs(1);
/// The most of a backtrace that a log line carries.
const MAX_CHARS: usize = 16 << 10;

/// Captures the backtrace of the caller, unless another one was captured within the last second.
pub(crate) fn capture() -> Option<Box<Backtrace>> {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    // Whoever holds the lock captures one now.
    let mut last = LAST.try_lock().ok()?;
    if last.is_some_and(|last| last.elapsed() < PAUSE) {
        return None;
    }
    *last = Some(Instant::now());
    Some(Box::new(Backtrace::force_capture()))
}

/// Renders a backtrace for a log line.
pub(crate) fn render(backtrace: &Backtrace) -> String {
    backtrace.to_string().chars().take(MAX_CHARS).collect()
}
