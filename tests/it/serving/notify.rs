//! The notifications to a service manager, and the validity of the systemd unit.

use std::{os::unix::net::UnixDatagram, process::Stdio, time::Duration};

use nix::sys::signal::Signal;

use crate::support::{Process, TestDatabase};

/// Reads messages until one contains a text.
fn expect_notification(manager: &UnixDatagram, what: &str) {
    let mut bytes = [0; 256];
    let mut messages = Vec::new();
    loop {
        let length = manager.recv(&mut bytes).unwrap_or_else(|error| panic!("no {what} after {messages:?}: {error}"));
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        if text.contains(what) {
            return;
        }
        messages.push(text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_is_told() {
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager.set_read_timeout(Some(Duration::from_secs(20))).expect("a time");
    let database = TestDatabase::new().await;
    let own = [("NOTIFY_SOCKET", path.to_str().expect("text")), ("WATCHDOG_USEC", "200000")];
    let mut server = Process::with(&database, &own).await;
    let mut listen = manager;
    for (what, signal) in [("READY=1", None), ("WATCHDOG=1", None), ("STOPPING=1", Some(Signal::SIGTERM))] {
        if let Some(signal) = signal {
            server.signal(signal);
        }
        listen = tokio::task::spawn_blocking(move || {
            expect_notification(&listen, what);
            listen
        })
        .await
        .expect("no panic");
    }
    assert!(server.wait().await.success());
}

/// systemd validates the unit without warnings; where it is not installed, `scripts/test` excludes the test. The server
/// reports faults that prevent its start; a second program would repeat them at every attempt.
#[tokio::test]
async fn systemd_understands_the_unit() {
    let unit = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/systemd/mainstay.service");
    let text = std::fs::read_to_string(&unit).expect("the unit");
    assert_eq!(text.matches("/usr/bin/mainstay").count(), 1, "{text}");
    let folder = tempfile::tempdir().expect("a directory");
    // The program is not installed where the unit expects it.
    let local = folder.path().join("mainstay.service");
    std::fs::write(&local, text.replace("/usr/bin/mainstay", env!("CARGO_BIN_EXE_mainstay"))).expect("written");
    let mut command = tokio::process::Command::new("systemd-analyze");
    let output = command.args(["verify", "--man=no"]).arg(&local).stdin(Stdio::null()).output().await;
    let output = output.expect("systemd-analyze");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && !text.contains("mainstay.service"), "{text}");
}
