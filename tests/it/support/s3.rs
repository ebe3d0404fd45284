//! An S3 server as a process, which a test can kill or make hang.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// The only bucket.
const BUCKET: &str = "mainstay-tests";

/// A server; the process and its objects end with this value.
#[derive(Debug)]
pub(crate) struct S3 {
    child: Child,
    port: u16,
}

impl S3 {
    /// Starts a server.
    pub(crate) async fn start() -> Self {
        Self::on(0).await
    }

    /// Starts a server, without any object, on the port of one that was killed.
    pub(crate) async fn again(self) -> Self {
        let port = self.port;
        drop(self);
        Self::on(port).await
    }

    async fn on(port: u16) -> Self {
        #[expect(clippy::disallowed_methods, reason = "how `make test` passes the path of its Python")]
        let python = std::env::var("S3_SERVER_PYTHON").expect("S3_SERVER_PYTHON, which scripts/test sets");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/processes/s3_server/server.py");
        let mut command = Command::new(python);
        command.arg("-W").arg("ignore").arg(script).arg(port.to_string()).arg(BUCKET);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("Python runs");
        let output = child.stdout.take().expect("piped");
        let line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(output).read_line(&mut line).map(|_| line)
        });
        let line = line.await.expect("no panic").expect("a line");
        let port = line.trim().parse().unwrap_or_else(|_| panic!("the server did not start: {line:?}"));
        Self { child, port }
    }

    /// `FILES_URL`.
    pub(crate) fn url(&self) -> String {
        format!("s3://key:secret@127.0.0.1:{}/{BUCKET}/of-tests?tls=none", self.port)
    }

    /// The URL that objects have.
    pub(crate) fn base(&self) -> String {
        format!("http://127.0.0.1:{}/{BUCKET}/of-tests/", self.port)
    }

    /// Kills the server.
    pub(crate) fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().expect("our own child");
    }

    /// Makes the server hang, or go on.
    pub(crate) fn hang(&self, hangs: bool) {
        let signal = if hangs { Signal::SIGSTOP } else { Signal::SIGCONT };
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"));
        kill(pid, signal).expect("our own child");
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.kill();
    }
}
