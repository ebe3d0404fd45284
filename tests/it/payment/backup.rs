//! The drill of docs/operations.md: a backup is restored into another database, and the ledger is checked against the
//! gateway.

use std::{path::Path, process::Stdio};

use super::{FakeGateway, pay, start_app};
use crate::support::{Process, Protocol, TestDatabase, process};

/// Runs a program of the Postgres that the tests use.
async fn run_postgres_program(database: &TestDatabase, program: &str, args: &[&str]) {
    let rows = database.sql("SELECT setting FROM pg_config WHERE name = 'BINDIR'").await;
    let directory = rows[0][0].clone().expect("a directory");
    let mut command = tokio::process::Command::new(Path::new(&directory).join(program));
    let output = command.args(args).stdin(Stdio::null()).output().await.expect("the program runs");
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_serves_and_the_ledger_names_what_it_lacks() {
    let gateway = FakeGateway::start().await;
    let (app, scene) = start_app(&gateway).await;
    let before = pay(&scene).await.id();
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("mainstay.dump");
    let file = file.to_str().expect("text");
    run_postgres_program(
        &app.database,
        "pg_dump",
        &["--format=custom", "--no-owner", "--file", file, &app.database.url],
    )
    .await;
    let after = pay(&scene).await.id();

    let restored = TestDatabase::empty().await;
    let arguments = ["--no-owner", "--exit-on-error", "--single-transaction", "--dbname", &restored.url, file];
    run_postgres_program(&restored, "pg_restore", &arguments).await;
    let variables = gateway.variables();
    let own: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (is_ok, output) = process::run(&["ledger", "check"], &restored, &own).await;
    assert!(!is_ok && output.contains("1 movement is booked, the gateway has 2"), "{output}");
    assert!(output.contains(&format!("for {after} at the gateway, and is not booked.")), "{output}");
    assert!(!output.contains(&before), "what was in the backup agrees: {output}");

    // Nothing is to be migrated, and whoever had an account signs in and sees what there was.
    let server = Process::with(&restored, &own).await;
    let customer = scene.cast.customer.at(&server.endpoint);
    let get = async |id: &str| {
        customer.call(Protocol::Rest, "PaymentService.GetPayment", serde_json::json!({ "paymentId": id })).await
    };
    get(&before).await.success();
    get(&after).await.failure("NOT_FOUND");
}
