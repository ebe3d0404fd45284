//! Starts Postgres from a prepared directory and waits until it answers.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

use crate::Error;
use crate::binaries::PostgresBinaries;
use crate::cluster_dir::{ClusterDir, USER};
use crate::process::{ServerProcess, Spawn, StopSignals};

/// Crash recovery replays at most a gigabyte of WAL with the default settings; a slow disk may need this long.
const READY_TIMEOUT: Duration = Duration::from_secs(120);
/// A server without a watcher writes a checkpoint before it ends, which may take a slow disk the same time.
const ORPHAN_TIMEOUT: Duration = READY_TIMEOUT;
const POLL_INTERVAL: Duration = Duration::from_millis(20);
const MAX_ATTEMPTS: u32 = 10;

/// A "fast" shutdown ends the sessions and writes a checkpoint; an "immediate" one leaves recovery to the next start.
const FAST: StopSignals = StopSignals { graceful: Signal::SIGINT, forced: Signal::SIGQUIT };
/// A temporary cluster is about to be deleted and needs no checkpoint.
const IMMEDIATE: StopSignals = StopSignals { graceful: Signal::SIGQUIT, forced: Signal::SIGKILL };

/// Transient causes of a failed start: another process took the port between the probe and the bind, or the sessions of
/// a killed postmaster have not noticed yet that it is gone.
const TRANSIENT_CAUSES: [&str; 3] = ["could not bind", "could not create any TCP/IP sockets", "is still in use"];

/// Returns a port that is free now. Another program may take it first; callers then try again.
pub(crate) fn free_port() -> Result<u16, Error> {
    let probe = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    probe.map(|addr| addr.port()).map_err(Error::io("finding a free port on", Path::new("127.0.0.1")))
}

/// Returns the connection URL: loopback TCP, so that psql and pgbench can connect as any user.
pub(crate) fn url(port: u16, password: &str, database: &str) -> String {
    // The server has no certificate, so a client need not ask for TLS.
    format!("postgres://{USER}:{password}@127.0.0.1:{port}/{database}?sslmode=disable")
}

/// Starts the server on `port`, or on a free one, and waits until it answers.
pub(crate) async fn launch(
    dir: &ClusterDir,
    binaries: &PostgresBinaries,
    settings: &[(String, String)],
    language: Option<&str>,
    password: &str,
    port: Option<u16>,
) -> Result<(ServerProcess, u16), Error> {
    end_orphan(dir).await?;
    let mut attempt = 1;
    loop {
        let port = port.map_or_else(free_port, Ok)?;
        let mut server = spawn(dir, binaries, settings, language, port)?;
        match wait_ready(dir, &mut server, port, password).await {
            Ok(()) => return Ok((server, port)),
            // The log has no codes. In another language its causes are unknown, so all are treated as transient.
            Err(Error::Failed { log, .. }) if attempt < MAX_ATTEMPTS && (language.is_some() || is_transient(&log)) => {
                attempt += 1;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            Err(error) => return Err(error),
        }
    }
}

fn is_transient(log: &str) -> bool {
    TRANSIENT_CAUSES.iter().any(|cause| log.contains(cause))
}

fn spawn(
    dir: &ClusterDir,
    binaries: &PostgresBinaries,
    settings: &[(String, String)],
    language: Option<&str>,
    port: u16,
) -> Result<ServerProcess, Error> {
    let cluster = dir.cluster();
    let mut args = vec!["-D".to_owned(), cluster.to_string_lossy().into_owned()];
    let own = [
        ("listen_addresses", "127.0.0.1"),
        ("port", &port.to_string()),
        // The path of a socket is limited to 107 bytes and would have to be accessible to every user; TCP has no such
        // limits.
        ("unix_socket_directories", ""),
        ("timezone", "UTC"),
        ("log_timezone", "UTC"),
        ("logging_collector", "off"),
    ];
    for (name, value) in own.into_iter().chain(settings.iter().map(|(name, value)| (name.as_str(), value.as_str()))) {
        args.extend(["-c".to_owned(), format!("{name}={value}")]);
    }
    ServerProcess::start(Spawn {
        program: &binaries.postgres,
        args,
        language,
        account: dir.account.as_ref(),
        log: dir.new_log()?,
        stop_signals: if dir.temporary { IMMEDIATE } else { FAST },
        remove: dir.temporary.then(|| dir.path()),
    })
}

/// Waits for the first connection that succeeds, the only reliable sign of readiness.
async fn wait_ready(dir: &ClusterDir, server: &mut ServerProcess, port: u16, password: &str) -> Result<(), Error> {
    let since = Instant::now();
    let url = url(port, password, "postgres");
    loop {
        let refusal = match tokio_postgres::connect(&url, NoTls).await {
            Ok(_) => return Ok(()),
            Err(refusal) => refusal,
        };
        let failed = |what: String| Error::Failed { what, log: dir.log_tail() };
        if !server.is_running() {
            return Err(failed("the private Postgres ended while it was starting".to_owned()));
        }
        if refusal.code() == Some(&SqlState::INVALID_PASSWORD) {
            // Waiting longer is useless in general, but if another Postgres took the port, this one is about to exit.
            tokio::time::sleep(Duration::from_secs(1)).await;
            if !server.is_running() {
                continue;
            }
            return Err(Error::Damaged(format!(
                "the private Postgres does not accept the password in {}",
                dir.path().join("password").display()
            )));
        }
        if since.elapsed() > READY_TIMEOUT {
            return Err(failed(format!("the private Postgres did not answer within {READY_TIMEOUT:?}")));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Ends a server that a killed process left running, and removes its pid file.
///
/// This process holds the directory's lock, so the process that started that server is gone, and its watcher is
/// stopping it or is gone as well. Postgres refuses to start over a pid file whose pid is alive, even if an unrelated
/// process now has that pid, as happens after every restart of a container; so this checks which process it is.
async fn end_orphan(dir: &ClusterDir) -> Result<(), Error> {
    let cluster = dir.cluster();
    let path = cluster.join("postmaster.pid");
    let since = Instant::now();
    let mut signalled = false;
    while let Some(pid) = first_line_pid(&path) {
        if !is_postmaster_of(pid, &cluster) {
            return std::fs::remove_file(&path).or_else(ignore_missing).map_err(Error::io("removing", &path));
        }
        if since.elapsed() > ORPHAN_TIMEOUT {
            let holder = format!("Postgres process {pid}, which does not stop");
            return Err(Error::InUse { dir: dir.path().to_owned(), holder });
        }
        if !signalled {
            signalled = true;
            // The process may already be gone; any other failure shows in the next iterations.
            kill(pid, Signal::SIGINT).ok();
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

pub(crate) fn first_line_pid(path: &Path) -> Option<Pid> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().next()?.trim().parse().ok().filter(|pid| *pid > 1).map(Pid::from_raw)
}

/// Whether `pid` is alive and is the server of `cluster`: its command line, which [`spawn`] wrote, names the directory.
pub(crate) fn is_postmaster_of(pid: Pid, cluster: &Path) -> bool {
    if kill(pid, None) == Err(Errno::ESRCH) {
        return false;
    }
    let line = match std::fs::read(format!("/proc/{pid}/cmdline")) {
        Ok(line) => line,
        // No /proc on this system.
        Err(_) => match Command::new("ps").args(["-ww", "-o", "args=", "-p", &pid.to_string()]).output() {
            Ok(output) => output.stdout,
            Err(_) => return false,
        },
    };
    String::from_utf8_lossy(&line).contains(&*cluster.to_string_lossy())
}

fn ignore_missing(why: std::io::Error) -> std::io::Result<()> {
    if why.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(why) }
}
