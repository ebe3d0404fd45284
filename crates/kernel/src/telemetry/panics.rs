//! Panics in the log, each as a single JSON line.
//!
//! The standard library's hook prints several lines of plain text, and blocks while stderr does, so that a hung log
//! collector would block every panicking thread. This hook waits for its line, which may be the last one of the
//! process, but not for a hung stderr.

use std::panic::PanicHookInfo;

use tracing::field::display;

use super::{backtrace, lines};

pub(super) fn install_hook() {
    std::panic::set_hook(Box::new(log_panic));
}

/// Logs a panic before its stack is unwound, within the span of the request, if there is one.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let payload = panic.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let cause = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let location = panic.location().map(display);
    let backtrace = backtrace::capture().map(|captured| backtrace::render(&captured));
    tracing::error!(cause, location, backtrace, "a thread panicked");
    lines::write_unless_stuck();
}
