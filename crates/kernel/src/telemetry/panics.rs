//! Panics in the log, where each is one line like everything else.
//!
//! The hook of the standard library prints several lines that are no JSON, and waits while stderr takes nothing: whoever
//! collects the log could then stop every thread that panics. Here a thread waits for its line, which may be the last one of
//! the process, but not for a stderr that hangs.

use std::panic::PanicHookInfo;

use tracing::field::display;

use super::{backtrace, lines};

/// Has panics logged from now on, instead of printed.
pub(super) fn log() {
    std::panic::set_hook(Box::new(log_one));
}

/// Logs a panic before its stack is unwound: within the span of the request, if there is one.
fn log_one(panic: &PanicHookInfo<'_>) {
    let payload = panic.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let cause = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let location = panic.location().map(display);
    let backtrace = backtrace::capture().map(|captured| backtrace::render(&captured));
    tracing::error!(cause, location, backtrace, "a thread panicked");
    lines::write_unless_stuck();
}
