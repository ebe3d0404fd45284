//! Webhook endpoints are notified of payments, refunds and orders, once per outcome.

use serde_json::{Value, json};

use super::{CHARGE, FakeGateway, REFUND, charge_of, pay, start_app_with};
use crate::{
    cases::Scene,
    support::{Protocol, euro, eventually, receiver::Receiver, unique},
    webhook::create_endpoint,
};

const TYPES: [&str; 6] = [
    "orders.order.paid",
    "orders.order.refunded",
    "payments.payment.succeeded",
    "payments.payment.failed",
    "payments.refund.succeeded",
    "payments.refund.failed",
];

/// The events received so far, by name and id of their resource, sorted.
async fn events(receiver: &Receiver, count: usize) -> Vec<(String, String)> {
    let expected = receiver.wait_for(count).await.into_iter().map(|delivery| {
        let event: Value = serde_json::from_str(&delivery.body).expect("JSON");
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        (text(&event["type"]), text(&event["data"]["id"]))
    });
    let mut expected: Vec<_> = expected.collect();
    expected.sort();
    expected
}

fn owned(events: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut named: Vec<_> = events.iter().map(|(kind, id)| ((*kind).to_owned(), (*id).to_owned())).collect();
    named.sort();
    named
}

async fn all_done(scene: &Scene) {
    eventually("no delivery is pending", async || {
        scene.database.number("SELECT count(*) FROM webhook_deliveries WHERE state <> 2").await == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_are_notified_once_of_each_outcome() {
    let gateway = FakeGateway::start().await;
    let (app, scene) =
        start_app_with(&gateway, &[("WEBHOOK_ALLOW_PRIVATE", "true"), ("WEBHOOK_FIRST_WAIT", "1ms")]).await;
    gateway.tells(&[&app.endpoint], json!("twice")).await;
    let receiver = Receiver::answering(&[204]).await;
    create_endpoint(&scene, &receiver, &TYPES).await;

    let payment = pay(&scene).await;
    let (payment, order) = (payment.id(), payment.text("/data/orderId"));
    let mut expected = vec![("payments.payment.succeeded", payment.as_str()), ("orders.order.paid", order.as_str())];
    assert_eq!(events(&receiver, expected.len()).await, owned(&expected));

    // Any event about a refund makes the app check all refunds of the payment, including the one below, whenever that
    // job runs.
    gateway.tells(&[&app.endpoint], json!("never")).await;
    let request = json!({ "paymentId": payment, "amount": euro("50") });
    let part = scene.cast.admin.keyed(Protocol::Rest, REFUND, request, &unique()).await.success().id();
    expected.push(("payments.refund.succeeded", &part));
    assert_eq!(events(&receiver, expected.len()).await, owned(&expected), "after the partial refund");

    // A refund that the gateway rejects, because an operator refunds the rest at its console.
    assert!(gateway.refund_at_console(&payment, 1000).await);
    scene
        .cast
        .admin
        .keyed(Protocol::Rest, REFUND, json!({ "paymentId": payment }), &unique())
        .await
        .failure("PAYMENT_FAILED");
    let id = app.database.sql("SELECT id FROM refunds WHERE status = 3").await[0][0].clone().expect("an id");
    expected.push(("payments.refund.failed", &id));
    assert_eq!(events(&receiver, expected.len()).await, owned(&expected));
    gateway.tells(&[&app.endpoint], json!("twice")).await;
    gateway.settled_books(&app.database).await;
    let adopted = "SELECT id FROM refunds WHERE refunded_by IS NULL";
    let adopted = app.database.sql(adopted).await[0][0].clone().expect("an id");
    expected.extend([("payments.refund.succeeded", adopted.as_str()), ("orders.order.refunded", &order)]);
    assert_eq!(events(&receiver, expected.len()).await, owned(&expected), "the rest");

    let mut request = charge_of(&scene).await;
    request["paymentMethod"] = json!("pm_card_visa_chargeDeclined");
    scene.cast.customer.keyed(Protocol::Rest, CHARGE, request, &unique()).await.failure("CARD_DECLINED");
    let declined = app.database.sql("SELECT id FROM payments WHERE status = 3").await[0][0].clone().expect("an id");
    expected.push(("payments.payment.failed", &declined));
    assert_eq!(events(&receiver, expected.len()).await, owned(&expected));
    // The gateway's own events about all this, each delivered twice, cause no further notifications.
    eventually("the events are acknowledged", async || gateway.events() == (4, 4)).await;
    all_done(&scene).await;
    assert_eq!(events(&receiver, expected.len()).await, owned(&expected));
    assert_eq!(app.database.number("SELECT count(*) FROM webhook_deliveries").await, 7);
}
