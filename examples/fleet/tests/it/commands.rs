//! Tests of the module's command, run as by an operator.

use mainstay_test_kit::TestDatabase;

use crate::{lease, path, run, start, vehicle};

#[tokio::test]
async fn a_command_ends_leases_whose_time_is_over() {
    let server = start().await;
    let customer = server.customer().await;
    let lease = path("leases", &lease(&customer, &vehicle(&server.admin().await, "M-AI 1").await).await);
    let expire = async || {
        let ran = run(&["leases", "expire"], server.database()).await;
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8_lossy(&ran.stdout).into_owned()
    };
    assert_eq!(expire().await, "leases ended: 0\n");
    server.database().sql("UPDATE fleet.leases SET expires_at = now() - interval '1 minute'").await;
    assert_eq!(expire().await, "leases ended: 1\n");
    let lease = customer.get(&lease).await.data();
    assert!(lease["endTime"].is_string(), "{lease}");
}

#[tokio::test]
async fn a_command_needs_the_tables_of_the_module() {
    let server = start().await;
    server.database().sql("DROP SCHEMA fleet CASCADE").await;
    let ran = run(&["leases", "expire"], server.database()).await;
    let error = String::from_utf8_lossy(&ran.stderr);
    assert!(!ran.status.success() && error.contains("run this program's `migrate`"), "{error}");
}

#[tokio::test]
async fn the_help_names_the_command_beside_those_of_the_program() {
    let ran = run(&["--help"], &TestDatabase::empty().await).await;
    let help = String::from_utf8_lossy(&ran.stdout);
    for part in ["serve", "ledger", "Look after leases"] {
        assert!(help.contains(part), "{part:?} is missing:\n{help}");
    }
}
