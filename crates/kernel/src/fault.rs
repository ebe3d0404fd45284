//! Fail points of the fault tests, which kill the process or cause a failure. Ordinary builds have none.
//!
//! `MAINSTAY_FAULTS=commit.before=kill` ends the process at `commit.before`, as `kill -9` would; `=error` fails the
//! request there with `INTERNAL_ERROR`, `=panic` panics, and `=hang` blocks the thread. Commas separate several faults.

use crate::error::Result;

/// Passes the fail point `name`.
///
/// # Errors
/// `INTERNAL_ERROR`, if a fault test requests it.
///
/// # Panics
/// If a fault test requests it.
#[cfg(feature = "fault-injection")]
pub fn point(name: &str) -> Result<()> {
    #[expect(clippy::disallowed_methods, reason = "no part of any configuration")]
    let faults = std::env::var("MAINSTAY_FAULTS").unwrap_or_default();
    match faults.split(',').filter_map(|fault| fault.split_once('=')).find(|(point, _)| *point == name) {
        Some((_, "kill")) => {
            nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL).ok();
            loop {
                std::thread::park();
            }
        }
        Some((_, "hang")) => loop {
            std::thread::park();
        },
        Some((_, "panic")) => panic!("injected at {name}"),
        Some((_, "error")) => Err(crate::error::Error::internal(anyhow::anyhow!("injected at {name}"))),
        _ => Ok(()),
    }
}

/// Passes the fail point `name`; does nothing in this build.
///
/// # Errors
/// Never in this build.
#[cfg(not(feature = "fault-injection"))]
#[inline]
pub fn point(_name: &str) -> Result<()> {
    Ok(())
}
