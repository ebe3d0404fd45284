//! Events from the gateway: early, late, duplicated, out of order, or impossible.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{
    CHARGE, FakeGateway, UNFINISHED_WORK, WITHOUT_RETRIES, alerts, charge_of,
    ledger::{charge_past_the_app, check},
    pay, start_app_with, start_configured, start_with_gateway,
};
use crate::{
    cases::{Scene, unknown_id, webhook::webhook_request},
    support::{Protocol, TestApp, eventually, gateway::event, unique, webhook},
};

fn success_event(payment: &str, gateway_id: &str, amount: i64) -> String {
    let metadata = json!({ "mainstay_payment": payment });
    event(
        "payment_intent.succeeded",
        &json!({ "id": gateway_id, "amount_received": amount, "currency": "eur", "metadata": metadata }),
    )
}

/// Delivers an event to an app and returns the state it ends in.
pub(super) async fn deliver(app: &TestApp, scene: &Scene, body: &str) -> String {
    let headers = [("stripe-signature", webhook::stripe(body, 0))];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let delivered = scene.cast.anonymous.call_with(
        Protocol::Rest,
        "InboundEventService.ReceiveWebhook",
        webhook_request("stripe", body),
        &headers,
    );
    delivered.await.success();
    let id = serde_json::from_str::<Value>(body).expect("JSON")["id"].as_str().expect("an id").to_owned();
    let since = Instant::now();
    loop {
        let sql = format!("SELECT state, attempts, failure FROM inbound_events WHERE provider_event_id = '{id}'");
        match app.database.sql(&sql).await[0].as_slice() {
            [Some(state), Some(attempts), failure] if state != "1" => {
                assert_eq!(attempts, "1", "{failure:?}");
                let named = ["", "pending", "processed", "ignored", "dead"][state.parse::<usize>().expect("a number")];
                return named.to_owned();
            }
            row => assert!(since.elapsed() < Duration::from_secs(60), "{row:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Returns the status of the payment, the status of its order, and the refunded amount.
pub(super) async fn state(app: &TestApp) -> (i64, i64, i64) {
    let number = async |sql| app.database.number(sql).await;
    (
        number("SELECT status FROM payments").await,
        number("SELECT status FROM orders").await,
        number("SELECT refunded_minor FROM payments").await,
    )
}

/// Every response of the gateway is lost and no request is repeated: the webhook event settles the payment.
#[tokio::test(flavor = "multi_thread")]
async fn a_success_event_settles_the_payment() {
    let (gateway, app, scene) = start_configured(&WITHOUT_RETRIES).await;
    gateway.behave(json!("hang_up_after"), 0).await;
    let (request, key) = (charge_of(&scene).await, unique());
    let charge = scene.cast.customer.keyed(Protocol::Rest, CHARGE, request.clone(), &key).await.success();
    assert_eq!((charge.status, gateway.movements().len()), (202, 1), "charged, with an unknown outcome");
    gateway.tells(&[&app.endpoint], json!("once")).await;
    assert_eq!(gateway.settled_books(&app.database).await, 1);
    assert_eq!(state(&app).await, (2, 3, 0));
    eventually("no job is left", async || app.database.number(UNFINISHED_WORK).await == 0).await;
    let again = scene.cast.customer.keyed(Protocol::Grpc, CHARGE, request, &key).await.success();
    assert_eq!((again.status, again.is_replayed(), again.id()), (201, true, charge.id()));
}

/// The failure of an older attempt does not end a payment; it makes the app query the gateway.
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_event_makes_the_app_query_the_gateway() {
    for (card, settled) in [("pm_card_visa", (2, 3, 0)), ("pm_card_visa_chargeDeclined", (3, 1, 0))] {
        let (gateway, app, scene) = start_configured(&WITHOUT_RETRIES).await;
        gateway.behave(json!({ "refuse": 503 }), 0).await;
        let mut request = charge_of(&scene).await;
        request["paymentMethod"] = json!(card);
        let charge = scene.cast.customer.keyed(Protocol::Rest, CHARGE, request, &unique()).await.success();
        assert_eq!(charge.status, 202);
        gateway.behave_well().await;
        let metadata = json!({ "mainstay_payment": charge.id() });
        let object = json!({ "id": "pi_other", "amount_received": 0, "currency": "eur", "metadata": metadata });
        let failed = || event("payment_intent.payment_failed", &object);
        assert_eq!(deliver(&app, &scene, &failed()).await, "processed");
        eventually("the payment is settled", async || state(&app).await == settled).await;
        // Once the outcome is known, a failure event changes nothing.
        assert_eq!(deliver(&app, &scene, &failed()).await, "processed");
        eventually("no job is left", async || app.database.number(UNFINISHED_WORK).await == 0).await;
        assert_eq!(state(&app).await, settled);
    }
}

/// Events that arrive out of order and twice lead to the right state.
#[tokio::test(flavor = "multi_thread")]
async fn a_refund_event_before_the_charge_event_is_handled() {
    for manner in [json!("backwards"), json!("twice"), json!({ "late": 500 })] {
        let gateway = FakeGateway::start().await;
        let (app, scene) = start_app_with(&gateway, &[("PAYMENT_RETRY_WAIT", "1s")]).await;
        gateway.behave(json!("hang_up_after"), 0).await;
        let charge =
            scene.cast.customer.keyed(Protocol::Rest, CHARGE, charge_of(&scene).await, &unique()).await.success();
        assert_eq!(charge.status, 202);
        assert!(gateway.refund_at_console(&charge.id(), 450).await);
        gateway.tells(&[&app.endpoint], manner.clone()).await;
        eventually("the events are acknowledged", async || gateway.events() == (2, 2)).await;
        gateway.behave_well().await;
        assert_eq!(gateway.settled_books(&app.database).await, 2, "{manner}");
        assert_eq!(state(&app).await, (2, 5, 450), "{manner}: paid and fully refunded");
        // A success event that arrives after everything is settled.
        let charged = app.database.sql("SELECT gateway_id FROM payments").await[0][0].clone().expect("an id");
        assert_eq!(deliver(&app, &scene, &success_event(&charge.id(), &charged, 450)).await, "processed");
        assert_eq!((state(&app).await, gateway.settled_books(&app.database).await), ((2, 5, 450), 2), "{manner}");
        let (is_ok, output) = check(&app, &gateway).await;
        assert!(is_ok && output.contains("2 movements are booked, the gateway has 2"), "{output}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_contradicts_the_ledger_is_a_dead_letter_at_once() {
    let (gateway, app, scene) = start_configured(&WITHOUT_RETRIES).await;
    gateway.behave(json!({ "refuse": 503 }), 0).await;
    let charge = scene.cast.customer.keyed(Protocol::Rest, CHARGE, charge_of(&scene).await, &unique()).await.success();
    let id = charge.id();
    let mut declined = charge_of(&scene).await;
    declined["paymentMethod"] = json!("pm_card_visa_chargeDeclined");
    gateway.behave_well().await;
    scene.cast.customer.keyed(Protocol::Rest, CHARGE, declined, &unique()).await.failure("CARD_DECLINED");
    let failed = app.database.sql("SELECT id FROM payments WHERE status = 3").await[0][0].clone().expect("an id");
    let dead = [
        ("another amount", success_event(&id, "pi_1", 449)),
        ("another currency", success_event(&id, "pi_1", 450).replace("eur", "usd")),
        ("no amount", success_event(&id, "pi_1", 450).replace("amount_received", "amount")),
        ("a payment of nobody", success_event(&unknown_id(), "pi_1", 450)),
        ("a payment that failed", success_event(&failed, "pi_1", 450)),
        ("no object", event("payment_intent.succeeded", &json!(null))),
    ];
    for (what, body) in dead {
        assert_eq!(deliver(&app, &scene, &body).await, "dead", "{what}");
    }
    assert_eq!(app.database.number("SELECT count(*) FROM ledger_transactions").await, 0, "nothing is booked");
    assert_eq!(app.database.number("SELECT count(*) FROM payments WHERE status = 1").await, 1, "{id} is still pending");
    // Events about other uses of the gateway account are ignored.
    for kind in ["payment_intent.succeeded", "payment_intent.payment_failed", "charge.refunded"] {
        let foreign = event(kind, &json!({ "id": "pi_foreign", "payment_intent": "pi_foreign", "currency": "eur" }));
        assert_eq!(deliver(&app, &scene, &foreign).await, "processed", "{kind}");
    }
    // A regular success, then one as if another attempt had moved money too.
    assert_eq!(deliver(&app, &scene, &success_event(&id, "pi_1", 450)).await, "processed");
    let alerted = alerts("moved_twice");
    assert_eq!(deliver(&app, &scene, &success_event(&id, "pi_2", 450)).await, "dead");
    assert_eq!(alerts("moved_twice"), alerted + 1, "an operator is told");
    assert_eq!(app.database.number("SELECT count(*) FROM ledger_transactions WHERE gateway_id = 'pi_1'").await, 1);
    assert_eq!(app.database.number("SELECT count(*) FROM ledger_transactions").await, 1);
}

/// Only the gateway where a payment was begun knows its outcome.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_about_a_payment_of_another_gateway_settles_nothing() {
    let (gateway, app, scene) = start_configured(&WITHOUT_RETRIES).await;
    gateway.behave(json!({ "refuse": 503 }), 0).await;
    let charge = scene.cast.customer.keyed(Protocol::Rest, CHARGE, charge_of(&scene).await, &unique()).await.success();
    assert_eq!(charge.status, 202);
    app.database.sql("UPDATE payments SET gateway = 'sandbox'").await;
    assert_eq!(deliver(&app, &scene, &success_event(&charge.id(), "pi_1", 450)).await, "dead");
    assert_eq!((state(&app).await.0, alerts("mismatch")), (1, 1), "it is pending, and an operator is told");
}

/// An event about a dispute of a charge.
fn dispute(charge: &str) -> String {
    let id = format!("dp_{}", unique());
    let of = charge.replacen("pi_", "ch_", 1);
    let dispute = json!({ "id": id, "charge": of, "payment_intent": charge, "amount": 450, "currency": "eur" });
    event("charge.dispute.created", &dispute)
}

/// An operator has to answer a dispute in time. The gateway moves its money separately from the payment, so the books
/// are unchanged.
#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_raises_an_alert() {
    let (gateway, app, scene) = start_with_gateway().await;
    pay(&scene).await;
    let charge = app.database.sql("SELECT gateway_id FROM payments").await[0][0].clone().expect("it succeeded");
    let alerted = alerts("disputed");
    assert_eq!(deliver(&app, &scene, &dispute("pi_foreign")).await, "processed");
    eventually("the gateway was asked", async || app.database.number("SELECT count(*) FROM jobs").await == 0).await;
    assert_eq!(alerts("disputed"), alerted, "others may use the gateway's account, too");
    assert_eq!(deliver(&app, &scene, &dispute(&charge)).await, "processed");
    assert_eq!(alerts("disputed"), alerted + 1, "an operator is told");
    assert_eq!(state(&app).await, (2, 3, 0));
    assert_eq!(gateway.settled_books(&app.database).await, 1);
}

/// The gateway charged a payment twice: the second charge, which is not booked, may be disputed too.
#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_of_a_charge_that_is_not_booked_raises_an_alert() {
    let (gateway, app, scene) = start_with_gateway().await;
    let payment = pay(&scene).await.id();
    let second = charge_past_the_app(&gateway, &payment, 450).await;
    // And a charge of another database that uses the same account of the gateway.
    let foreign = charge_past_the_app(&gateway, &unknown_id(), 450).await;
    for charge in [&second, &foreign] {
        assert_eq!(deliver(&app, &scene, &dispute(charge)).await, "processed");
        eventually("the gateway was asked", async || app.database.number(UNFINISHED_WORK).await == 0).await;
        assert_eq!(alerts("disputed"), 1, "{charge}");
    }
    assert_eq!(app.database.number("SELECT count(*) FROM ledger_transactions").await, 1, "nothing is booked");
}
