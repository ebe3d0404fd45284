//! The real binary, for what needs more than one of it, or one that dies.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{Endpoint, TestDatabase, app::environment};

/// A `mainstay serve`; killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) endpoint: Endpoint,
    child: Child,
    log: Arc<Mutex<String>>,
}

const READY_WITHIN: Duration = Duration::from_secs(30);

impl Process {
    /// Starts one on a database.
    pub(crate) async fn start(database: &TestDatabase) -> Self {
        Self::with(database, &[]).await
    }

    /// Starts one with variables of its own.
    pub(crate) async fn with(database: &TestDatabase, own: &[(&str, &str)]) -> Self {
        let own: Vec<_> = own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let values = environment(database, &own).await;
        let starting = tokio::task::spawn_blocking(move || start(values)).await.expect("no panic");
        let (child, address, log) = starting;
        Self { endpoint: Endpoint::new(address), child, log }
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("no reader panicked").clone()
    }

    /// Its id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a pid fits");
        // It fails only if the process is gone, which the test then sees by other means.
        kill(Pid::from_raw(pid), signal).ok();
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                return status;
            }
            assert!(since.elapsed() < Duration::from_secs(40), "the server did not end:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already in the tests that kill it.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What a command prints, with nothing in its environment.
pub(crate) async fn output(args: &[&str]) -> String {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_mainstay"));
    let output = command.args(args).env_clear().stdin(Stdio::null()).output().await.expect("the binary runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn start(values: Vec<(String, String)>) -> (Child, std::net::SocketAddr, Arc<Mutex<String>>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
    command.arg("serve").envs(values).env("RUST_LOG", "info");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    let log = Arc::new(Mutex::new(String::new()));
    let mut errors = child.stderr.take().expect("piped");
    let lines = log.clone();
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = errors.read(&mut piece) {
            lines.lock().expect("no reader panicked").push_str(&String::from_utf8_lossy(&piece[..length]));
        }
    });
    let output = BufReader::new(child.stdout.take().expect("piped"));
    let (found, address) = mpsc::channel();
    let lines = log.clone();
    std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            let url = line.split_once("serves gRPC and REST on ").map(|(_, url)| url);
            if let Some((_, address)) = url.and_then(|url| url.split_once("://")) {
                // Only the first one is waited for.
                found.send(address.trim().parse()).ok();
            }
            lines.lock().expect("no reader panicked").push_str(&format!("{line}\n"));
        }
    });
    match address.recv_timeout(READY_WITHIN) {
        Ok(Ok(address)) => (child, address, log),
        other => {
            child.kill().ok();
            child.wait().ok();
            panic!("the server did not start ({other:?}):\n{}", log.lock().expect("no reader panicked"));
        }
    }
}
