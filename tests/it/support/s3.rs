//! An S3 server as a process, which a test can kill or suspend.

use std::{ffi::OsStr, process::Child};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::python;

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

    /// Starts an empty server on the port of a killed one.
    pub(crate) async fn again(self) -> Self {
        let port = self.port;
        drop(self);
        Self::on(port).await
    }

    async fn on(port: u16) -> Self {
        let port = port.to_string();
        let arguments = [port.as_str(), BUCKET].map(OsStr::new);
        let (child, port) = python::start("S3_SERVER_PYTHON", "s3_server", &arguments).await;
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

    /// Suspends or resumes the server.
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
