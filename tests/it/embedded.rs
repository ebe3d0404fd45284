//! The embedded servers: what survives a restart or a crash, what must not, and the errors they report.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mainstay::embedded::{Error, Options, Postgres, Redis, RedisOptions};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpgid, getpid};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_postgres::NoTls;

/// The directory of the helper process's cluster; only the helper has this variable.
const HELPER_DIR: &str = "MAINSTAY_TEST_HELPER_DIR";
const GONE_WITHIN: Duration = Duration::from_secs(15);

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// A directory that the account of a root run may enter.
fn open_dir() -> std::io::Result<tempfile::TempDir> {
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

/// Sends a command in Redis's inline protocol and returns the beginning of the reply.
async fn redis(url: &str, command: &str) -> std::io::Result<String> {
    let mut stream = tokio::net::TcpStream::connect(url.trim_start_matches("redis://")).await?;
    stream.write_all(format!("{command}\r\n").as_bytes()).await?;
    let mut answer = vec![0; 1024];
    let read = stream.read(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer[..read]).into_owned())
}

fn pid_of(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).expect("a pid fits"))
}

async fn wait_gone(pids: &[Pid]) {
    let since = Instant::now();
    while let Some(pid) = pids.iter().find(|pid| kill(**pid, None) != Err(Errno::ESRCH)) {
        assert!(since.elapsed() < GONE_WITHIN, "process {pid} is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn data_survives_a_restart_and_the_directory_has_one_holder() -> Outcome {
    let dir = open_dir()?;
    let home = dir.path().join("postgres");
    let first = Postgres::start(Options::persistent(&home)).await?;
    let pid = pid_of(first.pid().ok_or("no pid")?);
    query(first.url(), "CREATE TABLE kept AS SELECT 'still here' AS word").await?;
    assert_eq!(query(first.url(), "SHOW fsync").await?, "on");
    assert_eq!(query(first.url(), "SELECT lower('ÄRGER')").await?, "ärger");
    let password = std::fs::read_to_string(home.join("password"))?;
    assert!(!format!("{first:?}").contains(&password), "logs must not carry it");
    assert_eq!(getpgid(Some(pid))?, pid, "a terminal's Ctrl-C must not reach it");

    let second = Postgres::start(Options::persistent(&home)).await;
    let refused = second.expect_err("two servers on one directory").to_string();
    assert!(refused.contains(&format!("process {}", getpid())), "{refused}");

    first.stop().await;
    wait_gone(&[pid]).await;
    let again = Postgres::start(Options::persistent(&home)).await?;
    assert_eq!(query(again.url(), "SELECT word FROM kept").await?, "still here");
    let secret = std::fs::metadata(home.join("password"))?;
    assert_eq!(secret.permissions().mode() & 0o777, 0o600);
    let wrong = again.url().replace("mainstay:", "mainstay:not-");
    assert!(query(&wrong, "SELECT 1").await.is_err(), "loopback alone grants no access");
    Ok(())
}

#[tokio::test]
async fn leftovers_of_an_earlier_run_do_not_prevent_a_start() -> Outcome {
    let dir = open_dir()?;
    let home = dir.path().join("postgres");
    // A kill during initdb.
    std::fs::create_dir_all(home.join("cluster.new/base"))?;
    Postgres::start(Options::persistent(&home)).await?.stop().await;
    // A power failure, after which an unrelated process has the pid. Postgres by itself refuses to start in that case.
    let stale = home.join("cluster/postmaster.pid");
    std::fs::write(&stale, format!("{}\n{}\n", getpid(), home.join("cluster").display()))?;
    Postgres::start(Options::persistent(&home)).await?.stop().await;
    std::fs::write(&stale, "not a pid\n")?;
    let started = Postgres::start(Options::persistent(&home)).await;
    assert!(matches!(started, Err(Error::Failed { .. })), "{started:?}");
    Ok(())
}

#[tokio::test]
async fn a_lost_password_is_reported_not_replaced() -> Outcome {
    let dir = open_dir()?;
    let home = dir.path().join("postgres");
    Postgres::start(Options::persistent(&home)).await?.stop().await;
    std::fs::remove_file(home.join("password"))?;
    let refused = Postgres::start(Options::persistent(&home)).await;
    assert!(matches!(&refused, Err(Error::Damaged(why)) if why.contains("password")), "{refused:?}");
    std::fs::write(home.join("password"), "wrong")?;
    let refused = Postgres::start(Options::persistent(&home)).await;
    assert!(matches!(&refused, Err(Error::Damaged(why)) if why.contains("password")), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn a_root_run_reports_the_inaccessible_directory() -> Outcome {
    let dir = dir_with(0o700)?;
    if !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let refused = Postgres::start(Options::persistent(dir.path().join("postgres"))).await;
    let said = refused.expect_err("the parent is not accessible").to_string();
    assert!(said.contains("can't enter") && said.contains("/var/lib/mainstay"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_temporary_cluster_can_restart_and_clone_and_is_removed() -> Outcome {
    let mut postgres = Postgres::start(Options::temporary().set("work_mem", "5MB")).await?;
    let url = postgres.url().to_owned();
    assert_eq!(query(&url, "SHOW work_mem").await?, "5MB");
    assert_eq!(query(&url, "SHOW fsync").await?, "off");
    let dir = PathBuf::from(query(&url, "SHOW data_directory").await?);

    postgres.create_database("mould", None).await?;
    query(&postgres.url_of("mould"), "CREATE TABLE t AS SELECT 1 AS one").await?;
    let (left, right) = tokio::join!(
        postgres.create_database("copy \"one\"", Some("mould")),
        postgres.create_database("copy_two", Some("mould")),
    );
    left?;
    right?;
    assert_eq!(query(&postgres.url_of("copy_two"), "SELECT one FROM t").await?, "1");
    postgres.drop_database("copy \"one\"").await?;
    postgres.drop_database("copy \"one\"").await?;

    let before = postgres.pid();
    postgres.restart().await?;
    assert_ne!(postgres.pid(), before);
    postgres.crash();
    assert!(!postgres.is_running() && postgres.pid().is_none());
    postgres.restart().await?;
    assert_eq!(query(&url, "SELECT 1").await?, "1", "the URL survives a restart");

    let pid = pid_of(postgres.pid().ok_or("no pid")?);
    assert!(dir.parent().is_some_and(Path::exists));
    drop(postgres);
    wait_gone(&[pid]).await;
    assert!(!dir.parent().is_some_and(Path::exists), "{} is left over", dir.display());
    Ok(())
}

#[tokio::test]
async fn redis_restarts_on_its_port_and_keeps_its_limit() -> Outcome {
    let mut server = Redis::start(RedisOptions { maxmemory_bytes: Some(1) }).await?;
    let url = server.url();
    assert!(redis(&url, "SET key value").await?.starts_with("-OOM"));
    let before = server.pid();
    server.crash();
    assert!(redis(&url, "PING").await.is_err());
    server.restart().await?;
    assert_ne!(server.pid(), before);
    assert_eq!(server.url(), url);
    assert_eq!(redis(&url, "PING").await?, "+PONG\r\n");
    let pid = pid_of(server.pid().ok_or("no pid")?);
    server.stop().await;
    wait_gone(&[pid]).await;
    Ok(())
}

/// Not a test of its own: the process that the following tests kill.
#[tokio::test]
#[ignore = "run by the tests that kill it"]
#[expect(clippy::disallowed_methods, reason = "how the parent test talks to this process")]
async fn helper_process() -> Outcome {
    let home = std::env::var_os(HELPER_DIR).ok_or("started by hand")?;
    let kept = Postgres::start(Options::persistent(home)).await?;
    let thrown = Postgres::start(Options::temporary()).await?;
    let redis = Redis::start(RedisOptions::default()).await?;
    query(kept.url(), "CREATE TABLE IF NOT EXISTS kept AS SELECT 'still here' AS word").await?;
    let dir = query(thrown.url(), "SHOW data_directory").await?;
    let pids = [kept.pid(), thrown.pid(), redis.pid()].map(Option::unwrap_or_default).map(|pid| pid.to_string());
    // Written to standard output despite the test harness's capture: the parent reads this line.
    println!("\nready {} {dir}", pids.join(" "));
    std::future::pending().await
}

/// The helper process and the servers it started.
struct Helper {
    process: Child,
    kept: Pid,
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
        let mut helper = Self { process, kept: getpid(), pids: Vec::new(), temporary: PathBuf::new() };
        let output = helper.process.stdout.take().ok_or("no output")?;
        for line in BufReader::new(output).lines() {
            let line = line?;
            let words: Vec<&str> = line.split(' ').collect();
            let ["ready", pids @ .., dir] = words.as_slice() else { continue };
            helper.pids = pids.iter().map(|pid| pid.parse().map(Pid::from_raw)).collect::<Result<_, _>>()?;
            helper.kept = helper.pids[0];
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
async fn no_server_outlives_a_killed_parent() -> Outcome {
    let dir = open_dir()?;
    let mut helper = Helper::start(&dir.path().join("postgres"))?;
    helper.kill()?;
    wait_gone(&helper.pids).await;
    let since = Instant::now();
    while helper.temporary.exists() {
        assert!(since.elapsed() < GONE_WITHIN, "{} is left over", helper.temporary.display());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[tokio::test]
async fn the_next_start_takes_over_at_once() -> Outcome {
    let dir = open_dir()?;
    let home = dir.path().join("postgres");
    let mut helper = Helper::start(&home)?;
    helper.kill()?;
    let next = Postgres::start(Options::persistent(&home)).await?;
    assert_eq!(query(next.url(), "SELECT word FROM kept").await?, "still here");
    wait_gone(&helper.pids).await;
    Ok(())
}

/// The watcher was killed too, by an operator or by the kernel when out of memory: the next start ends the orphan.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_orphan_without_a_watcher_is_ended_by_the_next_start() -> Outcome {
    let dir = open_dir()?;
    let home = dir.path().join("postgres");
    let mut helper = Helper::start(&home)?;
    for watcher in watchers_of(helper.kept)? {
        kill(watcher, Signal::SIGKILL)?;
    }
    helper.kill()?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    kill(helper.kept, None)?;
    let next = Postgres::start(Options::persistent(&home)).await?;
    assert_eq!(query(next.url(), "SELECT word FROM kept").await?, "still here");
    wait_gone(&helper.pids).await;
    Ok(())
}

/// The shells in the process group of `server`.
#[cfg(target_os = "linux")]
fn watchers_of(server: Pid) -> std::io::Result<Vec<Pid>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()).map(Pid::from_raw) else {
            continue;
        };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if getpgid(Some(pid)) == Ok(server) && line.starts_with(b"/bin/sh") {
            found.push(pid);
        }
    }
    assert!(!found.is_empty(), "no watcher of {server}");
    Ok(found)
}
