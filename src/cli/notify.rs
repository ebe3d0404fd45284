//! Reports the state of the process to the service manager (sd_notify(3)), if `NOTIFY_SOCKET` is set.

use std::{os::unix::net::UnixDatagram, sync::Arc, time::Duration};

use tokio::task::JoinHandle;

/// The connection to the service manager, if there is one.
#[derive(Debug)]
pub(crate) struct Notify {
    manager: Option<Arc<UnixDatagram>>,
    watchdog: Option<JoinHandle<()>>,
}

impl Notify {
    /// Connects to the service manager. From then on, a heartbeat is sent twice per period of the manager's watchdog,
    /// as long as the runtime runs tasks.
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

    /// Reports that the process is ready.
    pub(crate) fn ready(&self) {
        self.send("READY=1\nSTATUS=ready");
    }

    /// Reports that the process is draining.
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

/// An unreachable service manager is ignored.
fn connect(path: String) -> Option<UnixDatagram> {
    let socket = UnixDatagram::unbound().ok()?;
    socket.connect(path).ok()?;
    // A busy service manager must not block the process.
    socket.set_nonblocking(true).ok()?;
    Some(socket)
}

fn send(manager: &UnixDatagram, state: &str) {
    if let Err(error) = manager.send(state.as_bytes()) {
        tracing::debug!(%error, "the service manager was not told");
    }
}
