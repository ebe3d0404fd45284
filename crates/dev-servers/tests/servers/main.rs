//! State that survives a restart or a crash of the servers, state that must not, and the reported errors.

mod killed_parent;
mod pgbouncer;
mod postgres;
mod redis;

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use tokio_postgres::NoTls;

const EXIT_TIMEOUT: Duration = Duration::from_secs(60);

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// A directory that the unprivileged account of a server may enter when root runs the tests.
fn accessible_dir() -> std::io::Result<tempfile::TempDir> {
    dir_with(0o755)
}

fn dir_with(mode: u32) -> std::io::Result<tempfile::TempDir> {
    let dir = tempfile::tempdir()?;
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(mode))?;
    Ok(dir)
}

/// The first column of the first row that `statement` returns, as text.
async fn query(url: &str, statement: &str) -> Result<String, tokio_postgres::Error> {
    use tokio_postgres::SimpleQueryMessage::Row;
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let run = async move { client.simple_query(statement).await };
    let (answer, _closed) = tokio::join!(run, connection);
    let first = answer?.into_iter().find_map(|message| if let Row(row) = message { Some(row) } else { None });
    Ok(first.and_then(|row| row.get(0).map(str::to_owned)).unwrap_or_default())
}

fn pid_of(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).expect("a pid fits"))
}

async fn wait_for_exit(pids: &[Pid]) {
    let since = Instant::now();
    while let Some(pid) = pids.iter().find(|pid| kill(**pid, None) != Err(Errno::ESRCH)) {
        assert!(since.elapsed() < EXIT_TIMEOUT, "process {pid} is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
