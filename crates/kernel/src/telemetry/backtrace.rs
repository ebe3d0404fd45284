//! Backtraces of defects, at most one per second, because each takes milliseconds to resolve.

use std::{
    backtrace::Backtrace,
    sync::Mutex,
    time::{Duration, Instant},
};

/// The shortest time between two backtraces.
const PAUSE: Duration = Duration::from_secs(1);
const MAX_CHARS: usize = 16 << 10;

/// Captures the backtrace of the caller, unless another one was captured within the last second.
pub(crate) fn capture() -> Option<Box<Backtrace>> {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    // A held lock means that another thread captures one now.
    let mut last = LAST.try_lock().ok()?;
    if last.is_some_and(|last| last.elapsed() < PAUSE) {
        return None;
    }
    *last = Some(Instant::now());
    Some(Box::new(Backtrace::force_capture()))
}

pub(crate) fn render(backtrace: &Backtrace) -> String {
    backtrace.to_string().chars().take(MAX_CHARS).collect()
}
