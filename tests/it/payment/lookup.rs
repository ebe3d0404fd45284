//! Cases in which the idempotency key no longer helps: failures that the gateway stores under it, and keys that the
//! gateway has forgotten.

use std::sync::Arc;

use chrono::TimeDelta;
use mainstay::payments::{payment::model::Payment, settlement::ops::finish};
use serde_json::json;

use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    CHARGE, FakeGateway, WITHOUT_RETRIES, alerts, call_until_final, charge_of, ledger::charge_past_the_app, process,
    start_configured, start_with_gateway,
};
use crate::{
    cases::Scene,
    support::{Protocol, TestApp, TestDatabase, eventually},
};

/// Makes every waiting job and payment due immediately, until the guard is dropped. Workers use the clock of Postgres, so
/// advancing the app's clock makes nothing due.
fn keep_making_due(database: Arc<TestDatabase>) -> DropGuard {
    let stop = CancellationToken::new();
    let guard = stop.clone().drop_guard();
    tokio::spawn(stop.run_until_cancelled_owned(async move {
        loop {
            database.sql(super::MAKE_DUE).await;
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    }));
    guard
}

/// As in production: search results may be an hour old.
const LAGS: [(&str, &str); 1] = [("GATEWAY_LOOKUP_LAG", "1h")];

/// Returns how often this process has postponed a payment.
fn postponements() -> u64 {
    let metrics = mainstay_kernel::telemetry::metrics().render();
    let value = metrics.lines().find_map(|line| line.strip_prefix("mainstay_gateway_unknown_total "));
    value.map_or(0, |value| value.parse().expect("a number"))
}

/// Waits until the payment has been postponed three more times.
async fn wait_for_more_postponements() {
    let before = postponements();
    eventually("the payment is postponed again", async || postponements() > before + 2).await;
}

/// A 500 stored under the key says nothing about the money; only a look-up does.
#[tokio::test(flavor = "multi_thread")]
async fn a_stored_failure_that_moved_the_money_is_found() {
    let (gateway, app, scene) = start_with_gateway().await;
    let request = charge_of(&scene).await;
    gateway.behave(json!("move_and_break"), 1).await;
    let charge = scene.cast.customer.keyed(Protocol::Rest, CHARGE, request.clone(), "one").await.success();
    assert_eq!(charge.status, 202, "{charge:#?}");
    assert_eq!(gateway.settled_books(&app.database).await, 1);
    assert_eq!(app.database.number("SELECT attempt FROM payments").await, 1, "found, not made again");
    call_until_final(&scene.cast.customer, Protocol::Grpc, CHARGE, &request, "one").await.success();
}

/// If no money moved, the payment gets another attempt under another key.
#[tokio::test(flavor = "multi_thread")]
async fn a_stored_failure_that_moved_nothing_gets_another_attempt() {
    let (gateway, app, scene) = start_with_gateway().await;
    let request = charge_of(&scene).await;
    gateway.behave(json!("break"), 1).await;
    let charge = scene.cast.customer.keyed(Protocol::Rest, CHARGE, request.clone(), "one").await.success();
    assert_eq!(charge.status, 202, "{charge:#?}");
    assert_eq!(gateway.settled_books(&app.database).await, 1);
    assert_eq!(app.database.number("SELECT attempt FROM payments").await, 2);
    let again = call_until_final(&scene.cast.customer, Protocol::Grpc, CHARGE, &request, "one").await.success();
    assert_eq!(again.id(), charge.id());
}

/// After a day the gateway has forgotten the key: the app looks the payment up and never charges again blindly.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_whose_key_expired_is_looked_up() {
    let (gateway, app, scene) = start_with_gateway().await;
    gateway.behave(json!("hang_up_after"), 0).await;
    let charge = scene.cast.customer.keyed(Protocol::Rest, CHARGE, charge_of(&scene).await, "one").await.success();
    assert_eq!(charge.status, 202, "{charge:#?}");
    assert_eq!(settled_after_a_day(&app, &gateway).await, 1, "nothing was moved a second time");
    assert_eq!(app.database.number("SELECT status FROM payments").await, 2);
}

/// For a payment that never reached the gateway, the lookup finds nothing, and nothing is charged any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_was_lost_fails_when_its_key_expired() {
    let (gateway, app, scene) = start_with_gateway().await;
    gateway.behave(json!("hang_up_before"), 0).await;
    let charge = scene.cast.customer.keyed(Protocol::Rest, CHARGE, charge_of(&scene).await, "one").await.success();
    assert_eq!(charge.status, 202, "{charge:#?}");
    assert_eq!(settled_after_a_day(&app, &gateway).await, 0);
    let failed = "SELECT count(*) FROM payments WHERE status = 3 AND failure_code = 'no_answer'";
    assert_eq!(app.database.number(failed).await, 1);
    assert_eq!(app.database.number("SELECT count(*) FROM orders WHERE status = 2").await, 0);
}

/// Lets almost a day pass, waits until nothing is pending, and returns the number of movements.
async fn settled_after_a_day(app: &TestApp, gateway: &FakeGateway) -> usize {
    app.app.clock.advance(TimeDelta::hours(23) + TimeDelta::minutes(1));
    let _guard = keep_making_due(app.database.clone());
    gateway.settled_books(&app.database).await
}

/// The attempt may have started long ago, but a charge that happened just now is not in the search index yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_charge_is_not_looked_up_before_the_index_can_contain_it() {
    let (gateway, app, scene) = start_configured(&LAGS).await;
    gateway.behave(json!({ "refuse": 503 }), 0).await;
    let charge = scene.cast.customer.keyed(Protocol::Rest, CHARGE, charge_of(&scene).await, "one").await.success();
    assert_eq!(charge.status, 202);
    // The gateway is down for an hour; then the key runs for the first time, and its response breaks after the money
    // moved.
    app.app.clock.advance(TimeDelta::minutes(65));
    gateway.index(true).await;
    gateway.behave(json!("move_and_break"), 1).await;
    let _guard = keep_making_due(app.database.clone());
    eventually("the key is abandoned", async || {
        app.database.number("SELECT count(*) FROM payments WHERE key_abandoned_at IS NOT NULL").await == 1
    })
    .await;
    wait_for_more_postponements().await;
    let state = "SELECT count(*) FROM payments WHERE status = 1 AND attempt = 1";
    assert_eq!(
        (gateway.movements().len(), app.database.number(state).await),
        (1, 1),
        "charged once, with an unknown outcome"
    );
    gateway.index(false).await;
    app.app.clock.advance(TimeDelta::minutes(61));
    assert_eq!(gateway.settled_books(&app.database).await, 1);
    assert_eq!(app.database.number("SELECT count(*) FROM payments WHERE status = 2 AND attempt = 1").await, 1);
}

/// The last call before the key became too old moved the money; the look-up that follows must not come too early.
#[tokio::test(flavor = "multi_thread")]
async fn a_charge_at_the_end_of_the_key_window_is_not_abandoned() {
    let (gateway, app, scene) = start_configured(&LAGS).await;
    gateway.behave(json!({ "refuse": 503 }), 0).await;
    let charge = scene.cast.customer.keyed(Protocol::Rest, CHARGE, charge_of(&scene).await, "one").await.success();
    assert_eq!(charge.status, 202);
    app.app.clock.advance(TimeDelta::hours(22) + TimeDelta::minutes(58));
    gateway.index(true).await;
    gateway.behave(json!("hang_up_after"), 0).await;
    let _guard = keep_making_due(app.database.clone());
    eventually("the money has moved", async || gateway.movements().len() == 1).await;
    app.app.clock.advance(TimeDelta::minutes(5));
    eventually("the key is abandoned", async || {
        app.database.number("SELECT count(*) FROM payments WHERE key_abandoned_at IS NOT NULL").await == 1
    })
    .await;
    wait_for_more_postponements().await;
    assert_eq!(app.database.number("SELECT status FROM payments").await, 1, "outcome unknown");
    // Not earlier: a call from within the window may still be running.
    gateway.behave_well().await;
    gateway.index(false).await;
    app.app.clock.advance(TimeDelta::minutes(61));
    assert_eq!(gateway.settled_books(&app.database).await, 1);
    assert_eq!(app.database.number("SELECT status FROM payments").await, 2);
}

/// An intent that was interrupted before its confirmation charges nothing, but its outcome is open until it is
/// canceled.
#[tokio::test(flavor = "multi_thread")]
async fn an_unconfirmed_intent_is_cancelled() {
    let (gateway, app, scene) = start_with_gateway().await;
    gateway.behave(json!("leave_open"), 1).await;
    let charge = scene.cast.customer.keyed(Protocol::Rest, CHARGE, charge_of(&scene).await, "one").await.success();
    assert_eq!(charge.status, 202);
    assert_eq!(gateway.settled_books(&app.database).await, 1);
    let intents = gateway.objects("payment_intent");
    assert_eq!((intents.len(), &intents[0]["status"]), (1, &json!("canceled")));
    assert_eq!(app.database.number("SELECT attempt FROM payments").await, 2);
}

/// An outcome that a look-up can't establish needs an operator.
#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_raised_when_the_lookup_fails() {
    let (gateway, database) = (FakeGateway::start().await, Arc::new(TestDatabase::new().await));
    let server = process(&database, &gateway, &[]).await;
    let scene = Scene::at(&server, &database).await;
    gateway.behave(json!("move_and_break"), 1).await;
    let charge = scene.cast.customer.keyed(Protocol::Rest, CHARGE, charge_of(&scene).await, "one").await.success();
    assert_eq!(charge.status, 202);
    gateway.behave_at("GET /v1/payment_intents", json!({ "refuse": 500 }), 0).await;
    eventually("the key is abandoned", async || {
        let aged =
            "UPDATE payments SET key_abandoned_at = key_abandoned_at - interval '65 minutes' WHERE key_abandoned_at IS NOT NULL RETURNING id";
        !database.sql(aged).await.is_empty()
    })
    .await;
    eventually("an alert is raised", async || server.log().contains("unsettled")).await;
    gateway.behave_well().await;
    let _guard = keep_making_due(database.clone());
    assert_eq!(gateway.settled_books(&database).await, 1);
}

/// Another attempt days after the order would surprise the cardholder, even if the last attempt is recent.
#[tokio::test(flavor = "multi_thread")]
async fn no_attempt_begins_a_day_after_the_request() {
    let (gateway, app, scene) = start_configured(&WITHOUT_RETRIES).await;
    gateway.behave(json!("break"), 1).await;
    let charge = scene.cast.customer.keyed(Protocol::Rest, CHARGE, charge_of(&scene).await, "one").await.success();
    assert_eq!(charge.status, 202);
    app.database.sql("UPDATE payments SET created_at = created_at - interval '25 hours'").await;
    app.app.clock.advance(TimeDelta::seconds(2));
    finish::<Payment>(&app.app, charge.id().parse().expect("an id")).await.expect("finished");
    let given_up = "SELECT count(*) FROM payments WHERE status = 3 AND attempt = 1 AND failure_code = 'no_answer'";
    assert_eq!((app.database.number(given_up).await, gateway.movements().len()), (1, 0));
}

/// The search lags longer than configured, so only the list of charges shows that the money moved.
#[tokio::test(flavor = "multi_thread")]
async fn a_charge_that_the_search_does_not_return_is_found_in_the_list() {
    let (gateway, app, scene) = start_with_gateway().await;
    gateway.index(true).await;
    gateway.behave(json!("move_and_break"), 1).await;
    let charge = scene.cast.customer.keyed(Protocol::Rest, CHARGE, charge_of(&scene).await, "one").await.success();
    assert_eq!(charge.status, 202);
    assert_eq!(gateway.settled_books(&app.database).await, 1, "not charged a second time");
    assert_eq!(app.database.number("SELECT attempt FROM payments").await, 1);
}

/// A charge that names the payment, and has another amount, was not made by its request.
#[tokio::test(flavor = "multi_thread")]
async fn a_charge_of_another_amount_than_requested_settles_nothing() {
    let (gateway, app, scene) = start_configured(&WITHOUT_RETRIES).await;
    gateway.behave(json!("break"), 1).await;
    let charge = scene.cast.customer.keyed(Protocol::Rest, CHARGE, charge_of(&scene).await, "one").await.success();
    assert_eq!(charge.status, 202);
    charge_past_the_app(&gateway, &charge.id(), 100).await;
    app.app.clock.advance(TimeDelta::seconds(2));
    finish::<Payment>(&app.app, charge.id().parse().expect("an id")).await.expect("looked up");
    let pending = "SELECT count(*) FROM payments WHERE status = 1 AND attempt = 1 AND key_abandoned_at IS NOT NULL";
    assert_eq!((app.database.number(pending).await, alerts("mismatch")), (1, 1), "an operator is told");
    assert_eq!(gateway.movements().len(), 1, "nothing is charged again");
}

/// Two charges of the requested amount name the payment: one is booked, and an operator refunds the other one.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_charge_that_a_look_up_finds_raises_an_alert() {
    let (gateway, app, scene) = start_configured(&WITHOUT_RETRIES).await;
    gateway.behave(json!("move_and_break"), 1).await;
    let charge = scene.cast.customer.keyed(Protocol::Rest, CHARGE, charge_of(&scene).await, "one").await.success();
    assert_eq!(charge.status, 202);
    charge_past_the_app(&gateway, &charge.id(), 450).await;
    app.app.clock.advance(TimeDelta::seconds(2));
    finish::<Payment>(&app.app, charge.id().parse().expect("an id")).await.expect("looked up");
    let settled = "SELECT count(*) FROM payments WHERE status = 2";
    assert_eq!((app.database.number(settled).await, alerts("moved_twice")), (1, 1));
}
