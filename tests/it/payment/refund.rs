//! Refunds never add up to more than was charged.

use futures_util::future::join_all;
use serde_json::json;

use super::{REFUND, pay, start_with_gateway};
use crate::{
    cases::Scene,
    support::{PROTOCOLS, Protocol, TestApp, database::connect, euro, unique},
};

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_refunds_never_exceed_the_charge() {
    let (gateway, app, scene) = start_with_gateway().await;
    let payment = pay(&scene).await.id();
    scene.cast.admin.token().await;
    let refunds = (0..12).map(|number| {
        let (admin, request) = (scene.cast.admin.clone(), json!({ "paymentId": payment, "amount": euro("100") }));
        tokio::spawn(async move { admin.keyed(PROTOCOLS[number % 2], REFUND, request, &unique()).await })
    });
    let answers: Vec<_> = join_all(refunds).await.into_iter().map(|answer| answer.expect("no panic")).collect();
    let good = answers.iter().filter(|answer| answer.reason.is_empty()).count();
    let late = answers
        .iter()
        .filter(|answer| ["REFUND_EXCEEDS_PAYMENT", "PAYMENT_ALREADY_REFUNDED"].contains(&&*answer.reason))
        .count();
    assert_eq!((good, late), (4, 8), "{answers:#?}");
    assert_eq!(gateway.settled_books(&app.database).await, 5);
    assert_eq!(app.database.number("SELECT refunded_minor FROM payments").await, 400);
    // Refunding the rest marks the order as refunded.
    scene.cast.admin.keyed(Protocol::Rest, REFUND, json!({ "paymentId": payment }), &unique()).await.success();
    assert_eq!(app.database.number("SELECT count(*) FROM orders WHERE status = 5").await, 1);
    assert_eq!(gateway.settled_books(&app.database).await, 6);
}

/// An amount in a message is human-readable: 4.50 EUR, not 450.
#[tokio::test(flavor = "multi_thread")]
async fn a_refund_of_too_much_says_how_much_is_left() {
    let (_app, scene) = Scene::start().await;
    let request = json!({ "paymentId": pay(&scene).await.id(), "amount": euro("451") });
    let response = scene.cast.admin.keyed(Protocol::Rest, REFUND, request, &unique()).await;
    let message = response.failure("REFUND_EXCEEDS_PAYMENT").text("/error/message");
    assert_eq!(message, "Only EUR 4.50 of the payment is left to refund.");
}

/// A rejected refund releases its reserved amount.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_refund_releases_its_amount() {
    let (gateway, app, scene) = start_with_gateway().await;
    let payment = pay(&scene).await.id();
    // A refund that bypasses the API, so the gateway has nothing left.
    let charge = app.database.sql("SELECT gateway_id FROM payments").await[0][0].clone().expect("an id");
    let base = gateway.variables().into_iter().find(|(name, _)| *name == "STRIPE_BASE_URL").expect("set").1;
    let past = reqwest::Client::new().post(format!("{base}/v1/refunds")).bearer_auth("sk_test");
    let past = past.header("idempotency-key", "past").body(format!("payment_intent={charge}&amount=450"));
    assert!(past.send().await.expect("an answer").status().is_success());
    let request = json!({ "paymentId": payment, "amount": euro("450") });
    let response =
        scene.cast.admin.keyed(Protocol::Rest, REFUND, request.clone(), "one").await.failure("PAYMENT_FAILED");
    assert!(!response.is_replayed());
    assert!(
        scene.cast.admin.keyed(Protocol::Grpc, REFUND, request, "one").await.failure("PAYMENT_FAILED").is_replayed()
    );
    assert_eq!(app.database.number("SELECT refunded_minor FROM payments").await, 0);
    assert_eq!(app.database.number("SELECT count(*) FROM refunds WHERE status = 3").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_keeps_the_charge_of_each_refund() {
    let (app, scene) = Scene::start_with(TestApp::builder().with_jobs()).await;
    let payment = pay(&scene).await.id();
    for amount in ["100", "50"] {
        let request = json!({ "paymentId": payment, "amount": euro(amount) });
        scene.cast.admin.keyed(Protocol::Rest, REFUND, request, &unique()).await.success();
    }
    let query = "SELECT count(*) FROM sandbox_movements AS moved JOIN payments ON payments.gateway_id = moved.charge_id
                 WHERE moved.kind = 2";
    assert_eq!(app.database.number(query).await, 2, "the charge of each refund");
    let client = connect(&app.database.url).await;
    let result = client.batch_execute("UPDATE sandbox_movements SET charge_id = NULL").await;
    assert!(result.is_err(), "its records are append-only");
}
