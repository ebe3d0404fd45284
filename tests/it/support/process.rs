//! The real binary, for tests that need several processes or kill one.

use std::{
    ffi::OsString,
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    ops::{Deref, DerefMut},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use tokio::sync::OwnedMutexGuard;

use super::{Endpoint, TestDatabase, app::environment};

/// A `mainstay serve` process; killed on drop.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) endpoint: Endpoint,
    /// The private listener.
    pub(crate) private: Endpoint,
    running: ChildProcess,
}

/// A `mainstay` process of any kind; killed on drop.
#[derive(Debug)]
pub(crate) struct ChildProcess {
    child: Child,
    log: Arc<Mutex<String>>,
    /// While this lock is held, the log is not read.
    log_reader: Arc<tokio::sync::Mutex<()>>,
}

impl Deref for Process {
    type Target = ChildProcess;

    fn deref(&self) -> &ChildProcess {
        &self.running
    }
}

impl DerefMut for Process {
    fn deref_mut(&mut self) -> &mut ChildProcess {
        &mut self.running
    }
}

const READY_TIMEOUT: Duration = Duration::from_secs(120);

impl Process {
    /// Starts a server on a database.
    pub(crate) async fn start(database: &TestDatabase) -> Self {
        Self::with(database, &[]).await
    }

    /// Starts a server with additional variables.
    pub(crate) async fn with(database: &TestDatabase, own: &[(&str, &str)]) -> Self {
        let own: Vec<_> = own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let values = Box::pin(environment(database, &own)).await;
        let starting = tokio::task::spawn_blocking(move || start(values)).await.expect("no panic");
        let (running, address, private) = starting;
        Self { endpoint: Endpoint::new(address), private: Endpoint::new(private), running }
    }

    /// The process alone.
    pub(crate) fn into_running(self) -> ChildProcess {
        self.running
    }
}

impl ChildProcess {
    /// Starts a `mainstay worker` with additional variables.
    pub(crate) async fn worker(database: &TestDatabase, own: &[(&str, &str)]) -> Self {
        let own: Vec<_> = own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        spawn("worker", Box::pin(environment(database, &own)).await).0
    }

    /// The log so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("no reader panicked").clone()
    }

    /// Stops reading the process's log, beyond the next 4 KiB, until the guard is dropped.
    pub(crate) async fn stop_reading_log(&self) -> OwnedMutexGuard<()> {
        self.log_reader.clone().lock_owned().await
    }

    /// Waits until the log contains a text.
    pub(crate) async fn wait_for_log(&self, what: &str) {
        self.wait_for_log_within(READY_TIMEOUT, what).await;
    }

    /// Waits until the log contains a text, at most for `limit`.
    pub(crate) async fn wait_for_log_within(&self, limit: Duration, what: &str) {
        let since = Instant::now();
        while !self.log().contains(what) {
            assert!(since.elapsed() < limit, "the log lacks {what}:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the process.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a pid fits");
        // Sending fails only if the process is gone, which the test detects by other means.
        kill(Pid::from_raw(pid), signal).ok();
    }

    /// Waits until the process ends.
    pub(crate) async fn wait(&mut self) -> ExitStatus {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                return status;
            }
            assert!(since.elapsed() < Duration::from_secs(120), "it did not end:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        // The process may be gone already in tests that kill it.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The output of a command with an empty environment.
pub(crate) async fn output(args: &[&str]) -> String {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_mainstay"));
    let output = command.args(args).env_clear().stdin(Stdio::null()).output().await.expect("the binary runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The program of the tests, or the optimized one that `make load` builds.
fn program() -> OsString {
    #[expect(clippy::disallowed_methods, reason = "how `make load` names its program")]
    std::env::var_os("LOAD_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_mainstay").into())
}

/// Runs a command on a database to its end, and returns whether it succeeded, with its whole output.
pub(crate) async fn run(args: &[&str], database: &TestDatabase, own: &[(&str, &str)]) -> (bool, String) {
    let own: Vec<_> = own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut command = tokio::process::Command::new(program());
    // A mutation under test applies to the program, too.
    let mutation = std::env::vars_os().filter(|(name, _)| name == "MAINSTAY_MUTATION");
    command.args(args).env_clear().envs(mutation).envs(environment(database, &own).await);
    command.stdin(Stdio::null()).kill_on_drop(true);
    // A command may write all sample data.
    let output = tokio::time::timeout(Duration::from_secs(600), command.output()).await;
    let output = output.unwrap_or_else(|_| panic!("{args:?} does not end")).expect("the binary runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).expect("text"))
}

/// Starts a command and collects its stderr.
fn spawn(command: &str, values: Vec<(String, String)>) -> (ChildProcess, ChildStdout) {
    let mut mainstay = Command::new(program());
    mainstay.arg(command).env("RUST_LOG", "info").envs(values);
    mainstay.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = mainstay.spawn().expect("the binary runs");
    let (log, log_reader) = (Arc::new(Mutex::new(String::new())), Arc::<tokio::sync::Mutex<()>>::default());
    let mut errors = child.stderr.take().expect("piped");
    let output = child.stdout.take().expect("piped");
    let (lines, may_read) = (log.clone(), log_reader.clone());
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = errors.read(&mut piece) {
            drop(may_read.blocking_lock());
            lines.lock().expect("no reader panicked").push_str(&String::from_utf8_lossy(&piece[..length]));
        }
    });
    (ChildProcess { child, log, log_reader }, output)
}

fn start(values: Vec<(String, String)>) -> (ChildProcess, SocketAddr, SocketAddr) {
    let (running, output) = spawn("serve", values);
    let output = BufReader::new(output);
    let (sender, address) = mpsc::channel();
    let lines = running.log.clone();
    std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            let after = |text| line.split_once(text).and_then(|(_, url)| url.trim().split_once("://"));
            if let Some((_, address)) = after("serves gRPC and REST on ").or_else(|| after("metrics ")) {
                // Only the first two addresses have a receiver.
                sender.send(address.trim_end_matches("/metrics").parse()).ok();
            }
            lines.lock().expect("no reader panicked").push_str(&format!("{line}\n"));
        }
    });
    let next = || address.recv_timeout(READY_TIMEOUT);
    match (next(), next()) {
        (Ok(Ok(address)), Ok(Ok(private))) => (running, address, private),
        other => panic!("the server did not start ({other:?}):\n{}", running.log()),
    }
}
