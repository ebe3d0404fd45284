//! `mainstay import tickets`, run like an operator does.

use std::process::{Command, Output, Stdio};

use crate::support::TestApp;

async fn run(arguments: Vec<String>, environment: Vec<(String, String)>) -> Output {
    let run = move || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
        command.args(arguments).envs(environment).stdin(Stdio::null()).output().expect("the binary runs")
    };
    tokio::task::spawn_blocking(run).await.expect("no panic")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_imported_through_a_server() {
    let (app, cast) = TestApp::builder().with_jobs().start_with_cast().await;
    let directory = tempfile::tempdir().expect("a directory");
    let import = |name: &str, content: &str, account: String| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).expect("a file");
        let arguments = ["import", "tickets", &path.display().to_string(), "--account", &account];
        let arguments: Vec<_> = arguments.into_iter().map(str::to_owned).collect();
        let (server, agent) = (app.endpoint.base(), &cast.agent);
        async move {
            let environment = vec![
                ("MAINSTAY_SERVER".to_owned(), server),
                ("MAINSTAY_TOKEN".to_owned(), agent.token().await.expect("signed in")),
            ];
            run(arguments, environment).await
        }
    };
    let account = || cast.customer.as_user().account.to_string();
    let rows = "subject,body\nOne,Text\nTwo,\"More\ntext\"\n";
    for expected in ["Tickets created: 2. Already imported: 0.", "Tickets created: 2. Already imported: 0."] {
        // The second call finds the operation of the first one under the same key.
        let output = import("good.csv", rows, account()).await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(text(&output.stdout).starts_with(expected), "{output:?}");
    }
    let output = import("more.csv", &format!("{rows}Three,\n"), account()).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(text(&output.stdout).starts_with("Tickets created: 0. Already imported: 2."), "{output:?}");
    assert!(text(&output.stderr).contains("more.csv:5: body is empty"), "{output:?}");
    for _ in 0..2 {
        // A failure is not replayed: each call starts a new operation.
        let output = import("bad.csv", "subject\nOne\n", account()).await;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(text(&output.stderr).contains("names no column `body`"), "{output:?}");
    }
    assert_eq!(app.database.number("SELECT count(*) FROM operations").await, 4);
    let output = import("good.csv", rows, cast.admin.as_user().account.to_string()).await;
    assert!(text(&output.stdout).starts_with("Tickets created: 2."), "another account is another import: {output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_says_how_a_file_is_to_be_read() {
    let (app, cast) = TestApp::builder().with_jobs().start_with_cast().await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("old.csv").display().to_string();
    std::fs::write(&path, b"subject;body\nGr\xfc\xdfe;one\\ntwo\n").expect("a file");
    let account = cast.customer.as_user().account.to_string();
    let options = ["--unescape", "newlines", "--delimiter", "semicolon", "--charset", "windows-1252"];
    let arguments = ["import", "tickets", &path, "--account", &account].into_iter().chain(options);
    let token = cast.agent.token().await.expect("signed in");
    let variables = [("MAINSTAY_SERVER", app.endpoint.base()), ("MAINSTAY_TOKEN", token)];
    let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let output = run(arguments.map(str::to_owned).collect(), variables).await;
    assert!(text(&output.stdout).starts_with("Tickets created: 1."), "{output:?}");
    let rows = app.database.sql("SELECT subject, body FROM tickets").await;
    assert_eq!(rows, [[Some("Grüße".to_owned()), Some("one\ntwo".to_owned())]]);
}
