//! Refunds of invoices, which are made only in the gateway's console.

use serde_json::json;

use super::{CANCEL, cancel, create_subscription, deliver, event, idle, start_with_gateway};
use crate::{
    payment::{after_scheduled_searches, alerts, check, search},
    support::{TestApp, eventually, unique},
};

const REFUNDED: &str = "SELECT coalesce(sum(amount_minor), 0)::bigint FROM ledger_entries WHERE account = 3";
const REVERSED: &str = "SELECT count(*) FROM ledger_transactions WHERE kind = 6";

/// Searches for refunds that no webhook event reported.
async fn find(app: &TestApp) {
    search(app, "find_returned_refunds").await;
    idle(app).await;
}

/// More refunds than an invoice's response contains, each reported twice, and the last one after the subscription
/// ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_refund_of_an_invoice_is_booked_once() {
    let (gateway, app, scene) = start_with_gateway().await;
    gateway.tells(&[&app.endpoint], json!("twice")).await;
    let id = create_subscription(&scene).await.id();
    for (number, amount) in [(1, 100), (2, 200), (3, 300)] {
        assert!(gateway.refund_at_console(&id, amount).await);
        eventually("the refund is booked", async || {
            app.database.number("SELECT count(*) FROM ledger_transactions WHERE kind = 5").await == number
        })
        .await;
    }
    gateway.change_subscription(&id, "deleted").await;
    assert!(gateway.refund_at_console(&id, 1000).await);
    assert_eq!(gateway.settled_books(&app.database).await, 5);
    idle(&app).await;
    assert_eq!(app.database.number(REFUNDED).await, 900);
    let (is_ok, output) = check(&app, &gateway).await;
    assert!(is_ok && output.contains("5 movements are booked, the gateway has 5"), "{output}");
    // Refunds of other users of the gateway account are ignored.
    let foreign = json!({ "id": "ch_1", "payment_intent": "pi_1", "invoice": "in_1", "currency": "eur" });
    deliver(&scene, &event("charge.refunded", &foreign)).await;
    idle(&app).await;
    assert_eq!(gateway.settled_books(&app.database).await, 5);
}

/// No event reports the refund, nor that the bank returned it: the books differ until a search finds it.
#[tokio::test(flavor = "multi_thread")]
async fn a_refund_of_an_invoice_that_no_event_reports_is_found_and_reversed() {
    let (gateway, app, scene) = start_with_gateway().await;
    let id = create_subscription(&scene).await.id();
    // An ongoing subscription is queried within a day anyway.
    scene.cast.customer.rest(CANCEL, cancel(&id, false)).await.success();
    assert!(gateway.refund_at_console(&id, 400).await);
    let (is_ok, output) = check(&app, &gateway).await;
    assert!(!is_ok && output.contains(&format!("is a refund of an invoice of EUR 4.00 for {id}")), "{output}");
    for _ in 0..2 {
        find(&app).await;
        assert_eq!(app.database.number(REFUNDED).await, 400);
    }
    let refund = "SELECT gateway_id FROM ledger_transactions WHERE kind = 5";
    let refund = app.database.sql(refund).await[0][0].clone().expect("an id");
    gateway.return_refund(&refund).await;
    assert!(!check(&app, &gateway).await.0, "the books differ until the reversal");
    for _ in 0..2 {
        find(&app).await;
        assert_eq!((app.database.number(REVERSED).await, app.database.number(REFUNDED).await), (1, 0));
        let (is_ok, output) = check(&app, &gateway).await;
        assert!(is_ok, "{output}");
    }
}

/// The bank returned it before any event reported it, so no money moved.
#[tokio::test(flavor = "multi_thread")]
async fn a_refund_of_an_invoice_that_was_returned_before_it_was_booked_is_not_booked() {
    const INVOICES: &str = "SELECT count(*) FROM ledger_transactions WHERE kind = 3";
    const REFUNDS: &str = "SELECT count(*) FROM ledger_transactions WHERE kind = 5";

    let (gateway, app, scene) = start_with_gateway().await;
    let id = create_subscription(&scene).await.id();
    assert!(gateway.refund_at_console(&id, 400).await);
    let refund = gateway.movements().into_iter().find(|movement| movement.amount < 0).expect("a refund");
    gateway.return_refund(&refund.gateway_id).await;
    // All invoices of the subscription are read with the next one.
    gateway.tells(&[&app.endpoint], json!("twice")).await;
    gateway.change_subscription(&id, "renewed").await;
    eventually("the renewal is booked", async || app.database.number(INVOICES).await == 2).await;
    find(&app).await;
    assert_eq!((app.database.number(REFUNDS).await, app.database.number(REVERSED).await), (0, 0));
    let (is_ok, output) = check(&app, &gateway).await;
    assert!(is_ok, "{output}");
}

/// The event of a dispute names neither the subscription nor the invoice, only the charge.
#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_of_an_invoice_raises_an_alert() {
    let (gateway, app, scene) = start_with_gateway().await;
    create_subscription(&scene).await;
    let invoice = app.database.sql("SELECT gateway_id FROM ledger_transactions WHERE kind = 3").await[0][0].clone();
    let invoice = invoice.expect("the first period is booked");
    let alerted = alerts("disputed");
    for of in ["in_foreign", invoice.as_str()] {
        let dispute = json!({
            "id": format!("dp_{}", unique()), "object": "dispute", "charge": format!("ch_{of}"),
            "payment_intent": format!("pi_{of}"), "amount": 100, "currency": "eur",
        });
        deliver(&scene, &event("charge.dispute.created", &dispute)).await;
    }
    eventually("an operator is told", async || alerts("disputed") == alerted + 1).await;
    idle(&app).await;
    assert_eq!(alerts("disputed"), alerted + 1, "others may use the gateway's account, too");
    assert_eq!(gateway.settled_books(&app.database).await, 1, "the books stay");
}

/// Events about a refund name the charge, and not the invoice that it paid.
#[tokio::test(flavor = "multi_thread")]
async fn a_refund_of_an_invoice_is_found_by_its_charge() {
    let (gateway, app, scene) = start_with_gateway().await;
    let id = create_subscription(&scene).await.id();
    after_scheduled_searches(&app).await;
    assert!(gateway.refund_at_console(&id, 400).await);
    let refund = gateway.movements().into_iter().find(|movement| movement.amount < 0).expect("a refund").gateway_id;
    let invoice = app.database.sql("SELECT gateway_id FROM ledger_transactions WHERE kind = 3").await[0][0].clone();
    let invoice = invoice.expect("the first period is booked");
    for of in ["in_foreign", invoice.as_str()] {
        let object = json!({
            "id": refund, "object": "refund", "charge": format!("ch_{of}"), "payment_intent": format!("pi_{of}"),
            "amount": 400, "currency": "eur", "status": "succeeded",
        });
        deliver(&scene, &event("refund.updated", &object)).await;
    }
    eventually("the refund is booked", async || app.database.number(REFUNDED).await == 400).await;
    idle(&app).await;
    assert_eq!(gateway.settled_books(&app.database).await, 2);
}
