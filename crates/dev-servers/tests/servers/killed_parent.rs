//! The servers of a killed process end with it, or at the next start.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mainstay_dev_servers::{Options, Postgres, Redis, RedisOptions};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpgid, getpid};

use super::{EXIT_TIMEOUT, TestResult, accessible_dir, query, wait_for_exit};

/// The directory of the helper process's cluster; only the helper has this variable.
const HELPER_DIR: &str = "MAINSTAY_TEST_HELPER_DIR";

/// A helper, not a test: the process that the following tests kill.
#[tokio::test]
#[ignore = "run by the tests that kill it"]
#[expect(clippy::disallowed_methods, reason = "how the parent test talks to this process")]
async fn helper_process() -> TestResult {
    let home = std::env::var_os(HELPER_DIR).ok_or("started by hand")?;
    let persistent = Postgres::start(Options::persistent(home)).await?;
    let temporary = Postgres::start(Options::temporary()).await?;
    let redis = Redis::start(RedisOptions::default()).await?;
    query(persistent.url(), "CREATE TABLE IF NOT EXISTS kept AS SELECT 'still here' AS word").await?;
    let dir = query(temporary.url(), "SHOW data_directory").await?;
    let pids =
        [persistent.pid(), temporary.pid(), redis.pid()].map(Option::unwrap_or_default).map(|pid| pid.to_string());
    // Written to standard output despite the test harness's capture: the parent reads this line.
    println!("\nready {} {dir}", pids.join(" "));
    std::future::pending().await
}

/// The helper process and the servers it started.
struct Helper {
    process: Child,
    postgres: Pid,
    pids: Vec<Pid>,
    temporary: PathBuf,
}

impl Helper {
    /// Starts the helper and waits for its servers.
    fn start(home: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let process = Command::new(std::env::current_exe()?)
            .args(["helper_process", "--ignored", "--nocapture", "--test-threads=1"])
            .env(HELPER_DIR, home)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut helper = Self { process, postgres: getpid(), pids: Vec::new(), temporary: PathBuf::new() };
        let output = helper.process.stdout.take().ok_or("no output")?;
        for line in BufReader::new(output).lines() {
            let line = line?;
            let words: Vec<&str> = line.split(' ').collect();
            let ["ready", pids @ .., dir] = words.as_slice() else { continue };
            helper.pids = pids.iter().map(|pid| pid.parse().map(Pid::from_raw)).collect::<Result<_, _>>()?;
            helper.postgres = helper.pids[0];
            helper.temporary = Path::new(dir).parent().ok_or("no parent")?.to_owned();
            return Ok(helper);
        }
        Err("the helper did not get ready".into())
    }

    /// Kills the helper as `kill -9` does, without running any destructor.
    fn kill(&mut self) -> std::io::Result<()> {
        self.process.kill()?;
        self.process.wait().map(|_| ())
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // The process is dead already in every test that passes.
        let _dead = self.kill();
    }
}

#[tokio::test]
async fn no_server_outlives_a_killed_parent() -> TestResult {
    let dir = accessible_dir()?;
    let mut helper = Helper::start(&dir.path().join("postgres"))?;
    helper.kill()?;
    wait_for_exit(&helper.pids).await;
    let since = Instant::now();
    while helper.temporary.exists() {
        assert!(since.elapsed() < EXIT_TIMEOUT, "{} is left over", helper.temporary.display());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[tokio::test]
async fn the_next_start_takes_over_immediately() -> TestResult {
    let dir = accessible_dir()?;
    let home = dir.path().join("postgres");
    let mut helper = Helper::start(&home)?;
    helper.kill()?;
    let next = Postgres::start(Options::persistent(&home)).await?;
    assert_eq!(query(next.url(), "SELECT word FROM kept").await?, "still here");
    wait_for_exit(&helper.pids).await;
    Ok(())
}

/// The watcher was killed too, by an operator or by the kernel when out of memory: the next start ends the orphan.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_orphan_without_a_watcher_is_ended_by_the_next_start() -> TestResult {
    let dir = accessible_dir()?;
    let home = dir.path().join("postgres");
    let mut helper = Helper::start(&home)?;
    for watcher in watchers_of(helper.postgres)? {
        kill(watcher, Signal::SIGKILL)?;
    }
    helper.kill()?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    kill(helper.postgres, None)?;
    let next = Postgres::start(Options::persistent(&home)).await?;
    assert_eq!(query(next.url(), "SELECT word FROM kept").await?, "still here");
    wait_for_exit(&helper.pids).await;
    Ok(())
}

/// The shells in the process group of `server`.
#[cfg(target_os = "linux")]
fn watchers_of(server: Pid) -> std::io::Result<Vec<Pid>> {
    let mut pids = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()).map(Pid::from_raw) else {
            continue;
        };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if getpgid(Some(pid)) == Ok(server) && line.starts_with(b"/bin/sh") {
            pids.push(pid);
        }
    }
    assert!(!pids.is_empty(), "no watcher of {server}");
    Ok(pids)
}
