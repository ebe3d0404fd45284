//! A child process that can't outlive its parent.
//!
//! `Drop` is not enough: a parent that is killed with SIGKILL runs none, and the server would stay for ever. So a small
//! shell stands beside the server and reads from a pipe whose other end only the parent holds. When the parent is
//! gone, however it went, the read ends and the shell stops the server. A pipe works on every Unix, which
//! `PR_SET_PDEATHSIG` and control groups do not.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Error;
use super::account::Account;

/// How long a server may take over its polite signal before it gets the firm one, and over that before SIGKILL.
const STOP_WITHIN: Duration = Duration::from_secs(10);
const POLL_EVERY: Duration = Duration::from_millis(10);

/// Starts the watcher, then becomes the server: the server is thereby our direct child, with the pid we know.
///
/// - The watcher is forked twice so that it is nobody's child; Postgres takes an unknown child's death for a crash.
/// - It stays in the server's process group: while it lives, the kernel can't give the server's pid to another
///   process, so the signals below reach the server or nobody.
/// - It ignores the signals that a service manager sends to the whole group.
const SCRIPT: &str = r#"
polite=$1 firm=$2 remove=$3
shift 3
server=$$
exec 3<&0 </dev/null
(
  (
    trap '' HUP INT QUIT TERM
    while read -r word <&3; do
      [ "$word" != done ] || exit 0
    done
    kill -s "$polite" "$server"
    tenths=0
    while kill -0 "$server"; do
      case $tenths in
        100) kill -s "$firm" "$server" ;;
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

/// Sends the watcher home: the server has ended in order.
const DONE: &[u8] = b"done\n";

/// How a server is told to end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    pub(super) polite: Signal,
    pub(super) firm: Signal,
}

/// Everything needed to start one server.
pub(super) struct Launch<'a> {
    pub(super) program: &'a Path,
    pub(super) args: Vec<String>,
    pub(super) account: Option<&'a Account>,
    /// Takes the server's standard output and error.
    pub(super) log: File,
    pub(super) ending: Ending,
    /// A directory that the watcher deletes when the parent is gone and can't.
    pub(super) remove: Option<&'a Path>,
}

/// A running server; dropping it ends the process and waits for that, at most some 20 seconds.
#[derive(Debug)]
pub(super) struct Guarded {
    child: Child,
    ending: Ending,
    /// Its closing is what the watcher waits for, unless it reads [`DONE`] first.
    lifeline: Option<ChildStdin>,
}

impl Guarded {
    pub(super) fn start(launch: Launch<'_>) -> Result<Self, Error> {
        use std::os::unix::process::CommandExt as _;
        let err = launch.log.try_clone().map_err(Error::io("sharing the log of", launch.program))?;
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", SCRIPT, "sh", name(launch.ending.polite), name(launch.ending.firm)])
            .arg(launch.remove.unwrap_or(Path::new("")))
            .arg(launch.program)
            .args(&launch.args)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(launch.log)
            .stderr(err)
            // A terminal's Ctrl-C goes to a process group; the server has to answer until ours has drained.
            .process_group(0);
        clean_environment(&mut command);
        if let Some(account) = launch.account {
            account.run(&mut command);
        }
        let mut child = command.spawn().map_err(Error::io("starting", launch.program))?;
        let lifeline = child.stdin.take();
        Ok(Self { child, ending: launch.ending, lifeline })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process is still there; reaps it when it is not.
    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends `signal` unless the process has ended; `is_running` first, so a reaped pid is never signalled.
    pub(super) fn signal(&mut self, signal: Signal) {
        if self.is_running()
            && let Ok(pid) = i32::try_from(self.child.id())
        {
            // The one possible failure is a process that ended just now, which is what the signal is for.
            let _gone = kill(Pid::from_raw(pid), signal);
        }
    }

    /// Ends the process at once, as a crash would, and waits for it.
    pub(super) fn crash(mut self) {
        self.signal(Signal::SIGKILL);
    }

    /// Ends the process without holding up the runtime's threads.
    pub(super) async fn stop(self) {
        let _joined = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        for signal in [self.ending.polite, self.ending.firm, Signal::SIGKILL] {
            self.signal(signal);
            let since = Instant::now();
            while self.is_running() && since.elapsed() < STOP_WITHIN {
                #[expect(clippy::disallowed_methods, reason = "Drop can't await, and must not leave a process behind")]
                std::thread::sleep(POLL_EVERY);
            }
            if !self.is_running() {
                break;
            }
        }
        // The directory stays, for the owner to use again or to delete.
        if let Some(mut lifeline) = self.lifeline.take()
            && !self.is_running()
        {
            // It fails only when there is no watcher, and then there is nobody to tell.
            let _told = lifeline.write_all(DONE);
        }
    }
}

/// The servers get no environment of ours: it may hold secrets, and `PG*` variables would change what they do.
pub(super) fn clean_environment(command: &mut Command) {
    command.env_clear().env("LC_ALL", "C");
    for name in ["PATH", "LD_LIBRARY_PATH", "TMPDIR"] {
        #[expect(clippy::disallowed_methods, reason = "passed on to the server, not read as a setting")]
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
}

/// The signal's name as `kill -s` takes it everywhere.
fn name(signal: Signal) -> &'static str {
    signal.as_str().trim_start_matches("SIG")
}
