//! The server processes, their CPU time and their memory.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// A server in its own process, which is killed when this value is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
}

impl Server {
    /// Starts a command that does not listen.
    pub(crate) fn spawn(mut command: Command) -> anyhow::Result<Self> {
        // The server writes its log as under a service manager; nothing reads it here.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        Ok(Self { child: command.spawn().context("starting a server")?, port: 0 })
    }

    /// Starts a command that listens on `port`, and waits until it does.
    pub(crate) async fn start(command: Command, port: u16) -> anyhow::Result<Self> {
        let name = command.as_std().get_program().to_owned();
        let mut server = Self { port, ..Self::spawn(command)? };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            if let Some(status) = server.child.try_wait()? {
                anyhow::bail!("{:?} ended with {status}", name);
            }
            anyhow::ensure!(began.elapsed() < READY_TIMEOUT, "{:?} does not listen", name);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// User and kernel CPU time of the process so far; `None` where there is no /proc.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        cpu(self.child.id()?)
    }

    /// Resident memory of the process in MiB; `None` where there is no /proc.
    pub(crate) fn memory_mib(&self) -> Option<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.trim().trim_end_matches(" kB").parse::<f64>().ok()? / 1024.0)
    }

    pub(crate) async fn stop(mut self) {
        self.child.kill().await.ok();
    }
}

/// User and kernel CPU time of a process so far; `None` where there is no /proc.
pub(crate) fn cpu(process: u32) -> Option<Duration> {
    time(&stat(process)?, 11..13)
}

/// User and kernel CPU time of a process and of its children so far, those that have ended included; `None` where there is
/// no /proc.
pub(crate) fn cpu_with_children(process: u32) -> Option<Duration> {
    // The times of waited-for children follow the process's own times.
    let mut all = time(&stat(process)?, 11..15)?;
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let fields = entry.file_name().to_str().and_then(|name| stat(name.parse().ok()?));
        if let Some(fields) = fields.filter(|fields| fields.get(1) == Some(&i64::from(process))) {
            all += time(&fields, 11..13)?;
        }
    }
    Some(all)
}

/// Returns the fields of `/proc/PID/stat` after the name, which is in parentheses and may contain any character: the
/// state, which counts as 0, the parent, and so on.
fn stat(process: u32) -> Option<Vec<i64>> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect())
}

/// The sum of times among the fields.
fn time(fields: &[i64], which: std::ops::Range<usize>) -> Option<Duration> {
    let ticks = u64::try_from(fields.get(which)?.iter().sum::<i64>()).ok()?;
    Some(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// Ticks per second in /proc: 100 on every relevant architecture of Linux.
const TICKS_PER_SECOND: u64 = 100;

/// A port that is currently free.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
