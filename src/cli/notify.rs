//! Tells the service manager how the process is (sd_notify(3)), if one asks for it with `NOTIFY_SOCKET`.

use std::{os::unix::net::UnixDatagram, sync::Arc, time::Duration};

use tokio::task::JoinHandle;

/// The connection to the service manager; there may be none.
#[derive(Debug)]
pub(crate) struct Notify {
    manager: Option<Arc<UnixDatagram>>,
    watchdog: Option<JoinHandle<()>>,
}

impl Notify {
    /// Connects to the service manager. From then on it hears twice within each period of its watchdog that this process
    /// is alive, as long as the runtime runs tasks.
    #[expect(clippy::disallowed_methods, reason = "the protocol of service managers is in the environment only")]
    pub(crate) fn open() -> Self {
        let variable = |name| std::env::var(name).ok();
        let manager = variable("NOTIFY_SOCKET").and_then(connect).map(Arc::new);
        let period = variable("WATCHDOG_USEC").and_then(|text| text.parse().ok()).filter(|us| *us > 1);
        let watchdog = manager.clone().zip(period.map(Duration::from_micros)).map(|(manager, period)| {
            tokio::spawn(async move {
                let mut ticks = tokio::time::interval(period / 2);
                loop {
                    ticks.tick().await;
                    send(&manager, "WATCHDOG=1");
                }
            })
        });
        Self { manager, watchdog }
    }

    /// Reports that the process works.
    pub(crate) fn ready(&self) {
        self.send("READY=1\nSTATUS=ready");
    }

    /// Reports that the process drains.
    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=draining");
    }

    fn send(&self, state: &str) {
        if let Some(manager) = &self.manager {
            send(manager, state);
        }
    }
}

impl Drop for Notify {
    fn drop(&mut self) {
        if let Some(watchdog) = &self.watchdog {
            watchdog.abort();
        }
    }
}

/// A manager that does not listen can't be told.
fn connect(path: String) -> Option<UnixDatagram> {
    let socket = UnixDatagram::unbound().ok()?;
    socket.connect(path).ok()?;
    // A manager that is busy must not hold up the process.
    socket.set_nonblocking(true).ok()?;
    Some(socket)
}

fn send(manager: &UnixDatagram, state: &str) {
    if let Err(error) = manager.send(state.as_bytes()) {
        tracing::debug!(%error, "the service manager was not told");
    }
}
