//! The server processes, and what CPU time they took.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

const READY_WITHIN: Duration = Duration::from_secs(30);

/// A server in a process of its own, which ends with this value.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
}

impl Server {
    /// Starts what `command` is, which listens nowhere.
    pub(crate) fn spawn(mut command: Command) -> anyhow::Result<Self> {
        // Where a service manager would have its log go, nobody reads; the server writes it all the same.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        Ok(Self { child: command.spawn().context("starting a server")?, port: 0 })
    }

    /// Starts what `command` is, which listens on `port`, and waits until it does.
    pub(crate) async fn start(command: Command, port: u16) -> anyhow::Result<Self> {
        let name = command.as_std().get_program().to_owned();
        let mut server = Self { port, ..Self::spawn(command)? };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            if let Some(status) = server.child.try_wait()? {
                anyhow::bail!("{:?} ended with {status}", name);
            }
            anyhow::ensure!(began.elapsed() < READY_WITHIN, "{:?} does not listen", name);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// CPU time of the process so far, in user and kernel; `None` where there is no /proc.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()?)).ok()?;
        // The name, in parentheses, may hold anything; utime and stime are the 12th and 13th field after it.
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        Some(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
    }

    pub(crate) async fn stop(mut self) {
        self.child.kill().await.ok();
    }
}

/// The unit of /proc: fixed at 100 for user space on every architecture of Linux that matters.
const TICKS_PER_SECOND: u64 = 100;

/// A port that is free right now.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
