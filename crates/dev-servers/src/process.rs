//! A child process that can't outlive its parent.
//!
//! `Drop` is not enough: a parent killed with SIGKILL runs no destructors, and the server would stay running. So a
//! small shell process, the watcher, reads from a pipe whose other end only the parent holds. When the parent is gone,
//! for any reason, the read ends and the watcher stops the server. A pipe works on every Unix, unlike
//! `PR_SET_PDEATHSIG` and control groups.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Error;
use crate::account::Account;

/// How long a server may take after its graceful signal before it gets the forced one, and after that before SIGKILL.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Starts the watcher, then becomes the server, which is thereby the direct child of this process, with a known pid.
///
/// - The watcher is forked twice so that it is not a child of the server: Postgres treats the death of an unknown child
///   as a crash.
/// - It stays in the server's process group: while it lives, the kernel can't reuse the server's pid, so the signals
///   below reach the server or no process.
/// - It ignores the signals that a service manager sends to the whole group.
const SCRIPT: &str = r#"
graceful=$1 forced=$2 remove=$3
shift 3
server=$$
exec 3<&0 </dev/null
(
  (
    trap '' HUP INT QUIT TERM
    while read -r word <&3; do
      [ "$word" != done ] || exit 0
    done
    kill -s "$graceful" "$server"
    tenths=0
    while kill -0 "$server"; do
      case $tenths in
        100) kill -s "$forced" "$server" ;;
        200) kill -s KILL "$server" ;;
        300) break ;;
      esac
      tenths=$((tenths + 1))
      sleep 0.1
    done
    [ -z "$remove" ] || rm -rf -- "$remove"
  ) >/dev/null 2>&1 &
)
exec 3<&-
exec "$@"
"#;

/// Tells the watcher to exit, because the server has ended properly.
const DONE: &[u8] = b"done\n";

/// The signals that end a server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StopSignals {
    pub(crate) graceful: Signal,
    pub(crate) forced: Signal,
}

/// The parameters of one server.
pub(crate) struct Spawn<'a> {
    pub(crate) program: &'a Path,
    pub(crate) args: Vec<String>,
    /// The language of its messages.
    pub(crate) language: Option<&'a str>,
    pub(crate) account: Option<&'a Account>,
    /// Receives the server's standard output and error.
    pub(crate) log: File,
    pub(crate) stop_signals: StopSignals,
    /// A directory that the watcher deletes when the parent is gone and can't.
    pub(crate) remove: Option<&'a Path>,
}

/// A running server. Dropping it ends the process and waits for that, at most about 20 seconds.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    child: Child,
    stop_signals: StopSignals,
    /// The pipe to the watcher: the watcher stops the server when it closes, unless it reads [`DONE`] first.
    lifeline: Option<ChildStdin>,
}

impl ServerProcess {
    pub(crate) fn start(spawn: Spawn<'_>) -> Result<Self, Error> {
        use std::os::unix::process::CommandExt as _;
        let err = spawn.log.try_clone().map_err(Error::io("sharing the log of", spawn.program))?;
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", SCRIPT, "sh", name(spawn.stop_signals.graceful), name(spawn.stop_signals.forced)])
            .arg(spawn.remove.unwrap_or(Path::new("")))
            .arg(spawn.program)
            .args(&spawn.args)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(spawn.log)
            .stderr(err)
            // A Ctrl-C in a terminal goes to the whole process group; the server must answer until the application has
            // drained.
            .process_group(0);
        clean_environment(&mut command);
        command.envs(spawn.language.map(|language| ("LANGUAGE", language)));
        if let Some(account) = spawn.account {
            account.run(&mut command);
        }
        let mut child = command.spawn().map_err(Error::io("starting", spawn.program))?;
        let lifeline = child.stdin.take();
        Ok(Self { child, stop_signals: spawn.stop_signals, lifeline })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process is still running; reaps it when it is not.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until `probe` returns a value, at most for `timeout`.
    ///
    /// # Errors
    /// An error with the server's log if the process ends first, or does not answer in time.
    pub(crate) async fn wait_until_ready<T, F: Future<Output = Option<T>>>(
        &mut self,
        name: &str,
        log: &Path,
        timeout: Duration,
        probe: impl Fn() -> F,
    ) -> Result<T, Error> {
        let since = Instant::now();
        loop {
            if let Some(value) = probe().await {
                return Ok(value);
            }
            let has_ended = !self.is_running();
            if has_ended || since.elapsed() > timeout {
                let what = if has_ended { "ended while it was starting" } else { "does not answer" };
                let log = std::fs::read_to_string(log).unwrap_or_default();
                return Err(Error::Failed { what: format!("{name} {what}"), log });
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Sends `signal` unless the process has ended; checks `is_running` first, so that a reaped pid is never signaled.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if self.is_running()
            && let Ok(pid) = i32::try_from(self.child.id())
        {
            // The only possible failure is a process that has just ended, which is the goal.
            kill(Pid::from_raw(pid), signal).ok();
        }
    }

    /// Kills the process, as a crash would, and waits for its end.
    pub(crate) fn crash(mut self) {
        self.signal(Signal::SIGKILL);
    }

    /// Ends the process without blocking a thread of the runtime.
    pub(crate) async fn stop(self) {
        let _joined = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        for signal in [self.stop_signals.graceful, self.stop_signals.forced, Signal::SIGKILL] {
            self.signal(signal);
            let since = Instant::now();
            while self.is_running() && since.elapsed() < STOP_TIMEOUT {
                #[expect(clippy::disallowed_methods, reason = "Drop can't await, and must not leave a process behind")]
                std::thread::sleep(POLL_INTERVAL);
            }
            if !self.is_running() {
                break;
            }
        }
        // Tells the watcher to keep the directory, which the owner may reuse or delete.
        if let Some(mut lifeline) = self.lifeline.take()
            && !self.is_running()
        {
            // This fails only without a watcher.
            let _no_watcher = lifeline.write_all(DONE);
        }
    }
}

/// Suspended processes, such as all of a server; they continue when this value is dropped.
#[derive(Debug)]
pub struct FreezeGuard(Vec<Pid>);

impl FreezeGuard {
    /// Suspends one process of a server, such as the WAL receiver of a standby, and its children.
    #[must_use]
    pub fn process(pid: u32) -> Self {
        Self::new(Some(pid))
    }

    /// Suspends a process, and then its children. A suspended process starts no further children.
    pub(crate) fn new(server: Option<u32>) -> Self {
        let server = server.and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
        let mut guard = Self(Vec::new());
        if let Some(server) = server {
            guard.stop(server);
            let children = Command::new("ps").args(["-A", "-o", "pid=", "-o", "ppid="]).output();
            let children = children.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
            for line in children.unwrap_or_default().lines() {
                let mut ids = line.split_whitespace().filter_map(|id| id.parse().ok()).map(Pid::from_raw);
                if let (Some(child), Some(parent)) = (ids.next(), ids.next())
                    && parent == server
                {
                    guard.stop(child);
                }
            }
        }
        guard
    }

    fn stop(&mut self, pid: Pid) {
        if kill(pid, Signal::SIGSTOP).is_ok() {
            self.0.push(pid);
        }
    }
}

impl Drop for FreezeGuard {
    fn drop(&mut self) {
        for pid in &self.0 {
            // A suspended process keeps its id unless it is killed, and its server waits for its end.
            kill(*pid, Signal::SIGCONT).ok();
        }
    }
}

/// Clears the environment of the servers: it may hold secrets, and `PG*` variables would change their behavior.
pub(crate) fn clean_environment(command: &mut Command) {
    command.env_clear().env("LC_ALL", "C");
    for name in ["PATH", "LD_LIBRARY_PATH", "TMPDIR"] {
        #[expect(clippy::disallowed_methods, reason = "passed on to the server, not read as a setting")]
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
}

/// Returns the signal's name in the form that `kill -s` accepts everywhere.
fn name(signal: Signal) -> &'static str {
    signal.as_str().trim_start_matches("SIG")
}
