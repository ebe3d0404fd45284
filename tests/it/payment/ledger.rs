//! The ledger: what the database refuses, and what `mainstay ledger check` reports.

use std::process::Stdio;

use serde_json::json;

use super::{FakeGateway, REFUND, paid, start_app};
use crate::support::{Protocol, TestApp, app::environment, database::connect, unique};

pub(super) async fn check(app: &TestApp, gateway: &FakeGateway) -> (bool, String) {
    let (good, said, _) = run(app, gateway, &[], &[]).await;
    (good, said)
}

/// Runs the command and returns its success, its output and its errors.
async fn run(
    app: &TestApp,
    gateway: &FakeGateway,
    args: &[&str],
    variables: &[(&str, &str)],
) -> (bool, String, String) {
    let own: Vec<_> = gateway.variables().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_mainstay"));
    command.args(["ledger", "check"]).args(args).envs(environment(&app.database, &own).await).stdin(Stdio::null());
    let output = command.envs(variables.iter().copied()).output().await.expect("the binary runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_refuses_an_inconsistent_ledger() {
    let gateway = FakeGateway::start().await;
    let (app, scene) = start_app(&gateway).await;
    let payment = paid(&scene).await.id();
    let booked = app.database.sql("SELECT id FROM ledger_transactions").await[0][0].clone().expect("an id");
    let client = connect(&app.database.url).await;
    let transaction = |refund: &str| {
        format!(
            "INSERT INTO ledger_transactions VALUES ('{}', 1, '{payment}', {refund}, 'x', now())",
            crate::cases::nothing()
        )
    };
    let refused = [
        "UPDATE ledger_entries SET amount_minor = amount_minor * 2".to_owned(),
        "UPDATE ledger_transactions SET gateway_id = 'other'".to_owned(),
        "DELETE FROM ledger_entries".to_owned(),
        "DELETE FROM ledger_transactions".to_owned(),
        "TRUNCATE ledger_entries".to_owned(),
        "TRUNCATE ledger_transactions CASCADE".to_owned(),
        format!("INSERT INTO ledger_entries VALUES ('{booked}', 3, 'EUR', 1)"),
        // A second charge of one payment, and a transaction without entries.
        transaction("NULL"),
        format!("UPDATE payments SET status = 1, gateway_id = NULL WHERE id = '{payment}'"),
        format!("UPDATE payments SET amount_minor = 1 WHERE id = '{payment}'"),
        format!("UPDATE payments SET refunded_minor = 451 WHERE id = '{payment}'"),
        format!("DELETE FROM payments WHERE id = '{payment}'"),
    ];
    for statement in refused {
        assert!(client.batch_execute(&statement).await.is_err(), "taken: {statement}");
    }
    // Money that is not in the ledger: a payment can't succeed without a ledger transaction.
    gateway.behave(json!("hang_up_before"), 0).await;
    let request = super::charge_of(&scene).await;
    let pending = scene.cast.customer.keyed(Protocol::Rest, super::CHARGE, request, &unique()).await.good();
    let succeed =
        format!("UPDATE payments SET status = 2, gateway_id = 'x', leased_until = NULL WHERE id = '{}'", pending.id());
    assert!(client.batch_execute(&succeed).await.is_err(), "taken: {succeed}");
    gateway.behave_well().await;
    assert_eq!(gateway.settled_books(&app.database).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_finds_differences_from_the_gateway() {
    let gateway = FakeGateway::start().await;
    let (app, scene) = start_app(&gateway).await;
    let payment = paid(&scene).await.id();
    paid(&scene).await;
    let request = json!({ "paymentId": payment, "amountMinor": "50" });
    scene.cast.agent.keyed(Protocol::Rest, REFUND, request, &unique()).await.good();
    let (good, said) = check(&app, &gateway).await;
    assert!(good && said.contains("3 movements are booked, the gateway has 3"), "{said}");

    // A charge that only the gateway knows, and one that the gateway has twice.
    let base = gateway.variables().into_iter().find(|(name, _)| *name == "STRIPE_BASE_URL").expect("set").1;
    let stranger = crate::cases::nothing();
    for (key, subject) in [("a", &stranger), ("b", &payment)] {
        let form = format!(
            "amount=450&currency=eur&payment_method=pm_card_visa&confirm=true&metadata[mainstay_payment]={subject}"
        );
        let made = reqwest::Client::new().post(format!("{base}/v1/payment_intents")).bearer_auth("sk_test");
        let made = made.header("idempotency-key", key).body(form).send().await.expect("an answer");
        assert!(made.status().is_success(), "{made:?}");
    }
    let (good, said) = check(&app, &gateway).await;
    assert!(!good && said.contains(&stranger) && said.contains("twice") && said.contains(&payment), "{said}");
    assert!(
        said.contains(&format!("is a charge of EUR 4.50 for {stranger} at the gateway, and is not booked.")),
        "{said}"
    );
    assert!(said.lines().all(|line| line.ends_with('.')) && !said.contains('{'), "sentences: {said}");
    let (good, said, _) = run(&app, &gateway, &["--json"], &[]).await;
    let report: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert!(
        !good && report["booked"] == 3 && report["faults"].as_array().is_some_and(|faults| faults.len() == 3),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_is_told_the_cause() {
    let gateway = FakeGateway::start().await;
    let app = TestApp::start().await;
    let nobody = "postgres://mainstay@127.0.0.1:1/mainstay";
    let (good, said, error) = run(&app, &gateway, &[], &[("DATABASE_URL", nobody)]).await;
    assert!(!good && said.is_empty() && error.contains("DATABASE_URL"), "{said}{error}");
    app.database.sql("ALTER TABLE ledger_entries RENAME TO elsewhere").await;
    let (_, _, error) = run(&app, &gateway, &[], &[]).await;
    assert!(error.contains("ledger_entries") && !error.contains("request id"), "{error}");
}
