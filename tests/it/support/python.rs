//! Servers in Python, as processes.

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

/// Starts a program below `tests/processes` with the interpreter that a variable names, and returns it with the port
/// that it prints once it listens. The caller must end it.
pub(crate) async fn start(interpreter: &str, program: &str, arguments: &[&OsStr]) -> (Child, u16) {
    #[expect(clippy::disallowed_methods, reason = "how `make test` passes the path of its Python")]
    let python = std::env::var(interpreter).unwrap_or_else(|_| panic!("no {interpreter}, which scripts/test sets"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/processes").join(program).join("server.py");
    let mut command = Command::new(python);
    command.arg("-W").arg("ignore").arg(script).args(arguments);
    listening(command, program).await
}

/// Starts a server, and returns it with the port that it prints once it listens. The caller must end it.
pub(crate) async fn listening(mut command: Command, program: &str) -> (Child, u16) {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
    let output = child.stdout.take().expect("piped");
    let line = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).map(|_| line)
    });
    let line = line.await.expect("no panic").expect("a line");
    let port = line.trim().parse().unwrap_or_else(|_| panic!("{program} did not start: {line:?}"));
    (child, port)
}
