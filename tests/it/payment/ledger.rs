//! The ledger: the violations that the database rejects, and the reports of `mainstay ledger check`.

use std::process::Stdio;

use serde_json::json;

use super::{FakeGateway, REFUND, UNFINISHED_WORK, alerts, pay, search, start_with_gateway};
use crate::{
    cases::Scene,
    support::{Protocol, TestApp, app::environment, database::connect, euro, eventually, unique},
};

pub(crate) async fn check(app: &TestApp, gateway: &FakeGateway) -> (bool, String) {
    let (code, output, _) = run(app, gateway, &[], &[]).await;
    assert!(matches!(code, Some(0 | DIFFERS)), "{code:?} {output}");
    (code == Some(0), output)
}

/// The exit status if the books differ, distinct from that of errors.
const DIFFERS: i32 = 3;

/// Runs the command and returns its exit code, its output and its errors.
async fn run(
    app: &TestApp,
    gateway: &FakeGateway,
    args: &[&str],
    variables: &[(&str, &str)],
) -> (Option<i32>, String, String) {
    let own: Vec<_> = gateway.variables().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_mainstay"));
    command.args(["ledger", "check"]).args(args).envs(environment(&app.database, &own).await).stdin(Stdio::null());
    let output = command.envs(variables.iter().copied()).output().await.expect("the binary runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_refuses_an_inconsistent_ledger() {
    let (gateway, app, scene) = start_with_gateway().await;
    let payment = pay(&scene).await.id();
    let refund = json!({ "paymentId": payment, "amount": euro("50") });
    let refund = scene.cast.admin.keyed(Protocol::Rest, REFUND, refund, &unique()).await.success().id();
    // A payment whose outcome is unknown.
    gateway.behave(json!("hang_up_before"), 0).await;
    let request = super::charge_of(&scene).await;
    let pending = scene.cast.customer.keyed(Protocol::Rest, super::CHARGE, request, &unique()).await.success().id();
    let other = "00000000-0000-7000-8000-000000000000";
    let charge = |payment: &str, debit: i16, credit: i16, currency: &str, amount: i64| {
        let columns =
            "id, kind, payment_id, gateway_id, debit_account, credit_account, currency, amount_minor, created_at";
        let values =
            format!("gen_random_uuid(), 1, '{payment}', 'x', {debit}, {credit}, '{currency}', {amount}, now()");
        format!("INSERT INTO ledger_transactions ({columns}) VALUES ({values})")
    };
    let succeed = format!(
        "UPDATE payments SET status = 2, gateway_id = 'x', leased_until = NULL, due_at = NULL WHERE id = '{pending}'"
    );
    let statements = [
        // Entries are never changed.
        ("UPDATE ledger_entries SET amount_minor = amount_minor * 2".to_owned(), "ledger_entries"),
        ("DELETE FROM ledger_entries".to_owned(), "ledger_entries"),
        ("TRUNCATE ledger_entries".to_owned(), "ledger_entries"),
        ("UPDATE ledger_transactions SET gateway_id = 'other'".to_owned(), "is append-only"),
        ("UPDATE ledger_transactions SET amount_minor = amount_minor * 2".to_owned(), "is append-only"),
        ("DELETE FROM ledger_transactions".to_owned(), "is append-only"),
        ("TRUNCATE ledger_transactions CASCADE".to_owned(), "is append-only"),
        // A row is always balanced, so the possible violations are wrong accounts, amounts and subjects.
        (charge(&pending, 1, 1, "EUR", 450), "ledger_transactions_accounts_check"),
        (charge(&pending, 2, 1, "EUR", 450), "ledger_transactions_accounts_check"),
        (charge(&pending, 1, 3, "EUR", 450), "ledger_transactions_accounts_check"),
        (charge(&pending, 1, 2, "EUR", 0), "ledger_transactions_amount_minor_check"),
        (charge(&pending, 1, 2, "EUR", -450), "ledger_transactions_amount_minor_check"),
        (charge(&pending, 1, 2, "eur", 450), "ledger_transactions_currency_check"),
        (charge(&pending, 1, 2, "EUR", 450).replace(", 1, '", ", 2, '"), "ledger_transactions_"),
        (charge(&pending, 1, 2, "EUR", 450).replace("payment_id", "refund_id"), "ledger_transactions_subject_check"),
        (charge(other, 1, 2, "EUR", 450), "ledger_transactions_payment_id_fkey"),
        // A second charge of one payment, a second refund of one refund.
        (charge(&payment, 1, 2, "EUR", 450), "ledger_transactions_charge_key"),
        (
            charge(&refund, 3, 1, "EUR", 50).replace("payment_id", "refund_id").replacen(", 1, '", ", 2, '", 1),
            "ledger_transactions_refund_key",
        ),
        // Money that is not in the ledger, or not with this id, amount or currency.
        (succeed.clone(), "payments_ledger_fkey"),
        (format!("{}; {succeed}", charge(&pending, 1, 2, "EUR", 1)), "payments_ledger_fkey"),
        (format!("{}; {succeed}", charge(&pending, 1, 2, "USD", 450)), "payments_ledger_fkey"),
        (format!("{}; {}", charge(&pending, 1, 2, "EUR", 450), succeed.replace("'x'", "'y'")), "payments_ledger_fkey"),
        // A success is final.
        (
            format!("UPDATE payments SET status = 1, gateway_id = NULL, due_at = now() WHERE id = '{payment}'"),
            "it is settled",
        ),
        (format!("UPDATE payments SET amount_minor = 1 WHERE id = '{payment}'"), "it is settled"),
        (format!("UPDATE payments SET gateway_id = 'y' WHERE id = '{payment}'"), "it is settled"),
        (format!("UPDATE payments SET refunded_minor = 451 WHERE id = '{payment}'"), "payments_refunded_check"),
        (format!("DELETE FROM payments WHERE id = '{payment}'"), "_fkey"),
        // A refund that is not in the ledger.
        (
            format!(
                "INSERT INTO refunds (id, payment_id, account_id, currency, amount_minor, status, gateway_id, attempt_since, \
                 created_at, updated_at) SELECT '{other}', payment_id, account_id, currency, amount_minor, 2, 'y', now(), \
                 now(), now() FROM refunds WHERE id = '{refund}'"
            ),
            "refunds_ledger_fkey",
        ),
    ];
    for (statement, cause) in statements {
        let client = connect(&app.database.url).await;
        let committed = client.batch_execute(&format!("BEGIN; {statement}; COMMIT")).await;
        let error = committed.expect_err(&statement);
        let error = error.as_db_error().map(ToString::to_string).unwrap_or_default();
        assert!(error.contains(cause), "{statement} failed for another reason than {cause}: {error}");
    }
    // The statements above differ from a valid one only in the tested violation.
    let booked = format!("BEGIN; {}; {succeed}; ROLLBACK", charge(&pending, 1, 2, "EUR", 450));
    connect(&app.database.url).await.batch_execute(&booked).await.expect("a charge that is booked");
    let unbalanced = "SELECT count(*) FROM (SELECT FROM ledger_entries GROUP BY transaction_id
                      HAVING count(*) <> 2 OR sum(amount_minor) <> 0 OR count(DISTINCT currency) <> 1) AS wrong";
    assert_eq!(app.database.number(unbalanced).await, 0);
    assert_eq!(app.database.number("SELECT count(*) FROM ledger_entries").await, 4);
    gateway.behave_well().await;
    assert_eq!(gateway.settled_books(&app.database).await, 3);
}

/// Makes a charge at the gateway that this app did not request, and returns the gateway's id for it.
pub(super) async fn charge_past_the_app(gateway: &FakeGateway, payment: &str, amount: i64) -> String {
    let base = gateway.variables().into_iter().find(|(name, _)| *name == "STRIPE_BASE_URL").expect("set").1;
    let form = format!(
        "amount={amount}&currency=eur&payment_method=pm_card_visa&confirm=true&metadata[mainstay_payment]={payment}"
    );
    let request = reqwest::Client::new().post(format!("{base}/v1/payment_intents")).bearer_auth("sk_test");
    let response = request.header("idempotency-key", unique()).body(form).send().await.expect("an answer");
    assert!(response.status().is_success(), "{response:?}");
    let intent: serde_json::Value = response.json().await.expect("JSON");
    intent["id"].as_str().expect("an id").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_finds_differences_from_the_gateway() {
    let (gateway, app, scene) = start_with_gateway().await;
    let payment = pay(&scene).await.id();
    pay(&scene).await;
    let request = json!({ "paymentId": payment, "amount": euro("50") });
    scene.cast.admin.keyed(Protocol::Rest, REFUND, request, &unique()).await.success();
    let (is_ok, output) = check(&app, &gateway).await;
    assert!(is_ok && output.contains("3 movements are booked, the gateway has 3"), "{output}");

    // A charge that only the gateway knows, and one that the gateway has twice.
    let stranger = crate::cases::unknown_id();
    charge_past_the_app(&gateway, &stranger, 450).await;
    charge_past_the_app(&gateway, &payment, 450).await;
    let (is_ok, output) = check(&app, &gateway).await;
    assert!(!is_ok && output.contains(&stranger) && output.contains("twice") && output.contains(&payment), "{output}");
    assert!(
        output.contains(&format!("is a charge of EUR 4.50 for {stranger} at the gateway, and is not booked.")),
        "{output}"
    );
    assert!(output.lines().all(|line| line.ends_with('.')) && !output.contains('{'), "sentences: {output}");
    let (code, output, _) = run(&app, &gateway, &["--json"], &[]).await;
    let report: serde_json::Value = serde_json::from_str(&output).expect("JSON");
    assert!(
        code == Some(DIFFERS)
            && report["booked"] == 3
            && report["faults"].as_array().is_some_and(|faults| faults.len() == 3),
        "{output}"
    );
}

/// The remedy for a second charge: an operator refunds it at the gateway. Neither movement is ever booked.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_charge_that_was_refunded_in_full_is_no_difference() {
    let (gateway, app, scene) = start_with_gateway().await;
    let payment = pay(&scene).await.id();
    charge_past_the_app(&gateway, &payment, 450).await;
    // The console refunds the latest charge.
    assert!(gateway.refund_at_console(&payment, 400).await);
    let (is_ok, output) = check(&app, &gateway).await;
    assert!(!is_ok && output.contains("twice"), "{output}");
    assert!(gateway.refund_at_console(&payment, 50).await);
    let (is_ok, output) = check(&app, &gateway).await;
    assert!(is_ok, "{output}");
    assert_eq!(app.database.number("SELECT count(*) FROM ledger_transactions").await, 1);
    // A fully refunded charge of an unknown payment has an unknown origin.
    let stranger = crate::cases::unknown_id();
    charge_past_the_app(&gateway, &stranger, 450).await;
    assert!(gateway.refund_at_console(&stranger, 450).await);
    assert!(!check(&app, &gateway).await.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_check_raises_an_alert_and_changes_nothing() {
    let (gateway, app, scene) = start_with_gateway().await;
    let payment = pay(&scene).await.id();
    let refund = json!({ "paymentId": payment, "amount": euro("50") });
    scene.cast.admin.keyed(Protocol::Rest, REFUND, refund, &unique()).await.success();
    let check = async || {
        search(&app, "check_ledger").await;
        eventually("the check has ended", async || app.database.number(UNFINISHED_WORK).await == 0).await;
    };
    check().await;
    assert_eq!(alerts("ledger_differs"), 0);
    charge_past_the_app(&gateway, &crate::cases::unknown_id(), 450).await;
    check().await;
    assert!(alerts("ledger_differs") > 0);
    assert_eq!(app.database.number("SELECT count(*) FROM ledger_transactions").await, 2);
    assert_eq!(app.database.number("SELECT count(*) FROM payments").await, 1);
}

/// A loss at the gateway is detected in the days after the booking; later only the full check reads it.
#[tokio::test(flavor = "multi_thread")]
async fn a_recent_check_reads_what_is_recent() {
    use mainstay::payments::ledger::ops;

    let (app, scene) = Scene::start().await;
    let payment = pay(&scene).await.id();
    let recent = async || ops::recent::check(&app.app).await.expect("checked");
    let report = recent().await;
    assert_eq!((report.booked, report.moved, report.faults.len()), (1, 1, 0), "{report:?}");
    app.database.sql("ALTER TABLE sandbox_movements DISABLE TRIGGER USER; DELETE FROM sandbox_movements").await;
    let report = recent().await;
    assert_eq!((report.booked, report.moved, report.faults.len()), (1, 0, 1), "{report:?}");
    assert!(report.faults[0].contains(&payment) && report.faults[0].contains("knows nothing of it"), "{report:?}");
    app.app.clock.advance(chrono::TimeDelta::days(3) - chrono::TimeDelta::minutes(15));
    let report = recent().await;
    assert_eq!((report.booked, report.faults.len()), (1, 0), "the gateway may have it from before: {report:?}");
    app.app.clock.advance(chrono::TimeDelta::hours(1));
    assert_eq!(recent().await.booked, 0);
    let whole = ops::check(&app.app).await.expect("checked");
    assert!(whole.faults.len() == 1 && whole.faults[0].contains(&payment), "{whole:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_is_told_the_cause() {
    let gateway = FakeGateway::start().await;
    let app = TestApp::start().await;
    let nobody = "postgres://mainstay@127.0.0.1:1/mainstay";
    let (code, output, error) = run(&app, &gateway, &[], &[("DATABASE_URL", nobody)]).await;
    assert!(code == Some(1) && output.is_empty() && error.contains("DATABASE_URL"), "{code:?} {output}{error}");
    app.database.sql("ALTER TABLE ledger_transactions RENAME TO elsewhere").await;
    let (code, _, error) = run(&app, &gateway, &[], &[]).await;
    assert_eq!(code, Some(1), "nothing was compared");
    assert!(error.contains("ledger_transactions") && !error.contains("request id"), "{error}");
}
