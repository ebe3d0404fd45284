//! Customers at the gateway: one per account, for all cards and all payments.

use mainstay::{payments::settlement::ops::run_detached, subscriptions::model::Subscription};
use serde_json::json;

use super::{CREATE, call_until_final, create_subscription, start_with_gateway, subscription_request};
use crate::{
    payment::{WITHOUT_RETRIES, charge_of, is_theirs, overtaken, start_configured},
    support::{Protocol, unique},
};

const CHARGE: &str = "PaymentService.ChargePayment";

#[tokio::test(flavor = "multi_thread")]
async fn a_card_pays_for_everything_of_its_account() {
    let (gateway, app, scene) = start_with_gateway().await;
    let (card, other) = (gateway.card().await, gateway.card().await);
    for card in [&card, &card, &other] {
        let mut request = subscription_request(&scene).await;
        request["paymentMethod"] = card.as_str().into();
        let response = scene.cast.customer.keyed(Protocol::Rest, CREATE, request, &unique()).await.success();
        assert_eq!(response.text("/data/status"), "SUBSCRIPTION_STATUS_ACTIVE", "{response:#?}");
    }
    let mut cards: Vec<_> =
        gateway.objects("subscription").iter().map(|it| it["default_payment_method"].clone()).collect();
    cards.sort_by_key(ToString::to_string);
    cards.dedup();
    assert_eq!(cards.len(), 2, "each subscription is paid by its own card: {cards:?}");
    // The customer's own card twice, and a card without an owner.
    for card in [&card, &card, &gateway.card().await] {
        let mut request = charge_of(&scene).await;
        request["paymentMethod"] = card.as_str().into();
        let charge = scene.cast.customer.keyed(Protocol::Grpc, CHARGE, request, &unique()).await.success();
        assert_eq!(charge.text("/data/status"), "PAYMENT_STATUS_SUCCEEDED", "{charge:#?}");
    }
    assert_eq!(gateway.objects("customer").len(), 1);
    assert_eq!(app.database.number("SELECT count(*) FROM gateway_customers").await, 1);
    assert_eq!(gateway.settled_books(&app.database).await, 6);
}

/// Concurrent requests find or create a single customer, and a card stays with its account.
#[tokio::test(flavor = "multi_thread")]
async fn a_card_belongs_to_one_account() {
    let (gateway, app, scene) = start_with_gateway().await;
    let (one, two) = (subscription_request(&scene).await, subscription_request(&scene).await);
    let customer = &scene.cast.customer;
    let (key, another) = (unique(), unique());
    let (one, two) = tokio::join!(
        call_until_final(customer, Protocol::Rest, CREATE, &one, &key),
        call_until_final(customer, Protocol::Grpc, CREATE, &two, &another)
    );
    assert_eq!((one.success().status, two.success().status), (201, 201));
    let names = "SELECT count(DISTINCT customer_id) FROM subscriptions";
    assert_eq!((gateway.objects("customer").len(), app.database.number(names).await), (1, 1));
    let card = gateway.card().await;
    for (who, is_ours) in [(&scene.cast.customer, true), (&scene.cast.stranger, false)] {
        let mut request = subscription_request(&scene).await;
        request["paymentMethod"] = card.as_str().into();
        let answer = who.keyed(Protocol::Rest, CREATE, request, &unique()).await;
        if is_ours { drop(answer.success()) } else { drop(answer.failure("PAYMENT_FAILED")) }
    }
    assert_eq!((gateway.objects("customer").len(), gateway.objects("subscription").len()), (2, 3));
    gateway.settled_books(&app.database).await;
}

/// A retried charge is the same charge, even if its account became a customer in between.
#[tokio::test(flavor = "multi_thread")]
async fn a_charge_from_before_the_customer_existed_stays_the_same() {
    let (gateway, app, scene) = start_configured(&WITHOUT_RETRIES).await;
    let (request, key) = (charge_of(&scene).await, unique());
    gateway.behave(json!("hang_up_after"), 0).await;
    let charge = scene.cast.customer.keyed(Protocol::Rest, CHARGE, request.clone(), &key).await.success();
    assert_eq!(charge.status, 202, "{charge:#?}");
    gateway.behave_well().await;
    create_subscription(&scene).await;
    let again = call_until_final(&scene.cast.customer, Protocol::Grpc, CHARGE, &request, &key).await.success();
    assert_eq!((again.status, again.id()), (201, charge.id()));
    assert_eq!(gateway.settled_books(&app.database).await, 2);
}

/// A customer that was created but never stored is found by a search once the key is forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn an_existing_customer_is_found() {
    let (gateway, app, scene) = start_with_gateway().await;
    create_subscription(&scene).await;
    let rows = app.database.sql("DELETE FROM gateway_customers RETURNING customer_id").await;
    // Creating a customer fails; besides, the key would return the same customer.
    gateway.behave_at("POST /v1/customers", json!({ "refuse": 500 }), 0).await;
    create_subscription(&scene).await;
    assert_eq!(app.database.sql("SELECT customer_id FROM gateway_customers").await, rows);
    assert_eq!(gateway.objects("customer").len(), 1);
}

/// An operator deleted the customer in the gateway's console: the charge fails with a specific code.
#[tokio::test(flavor = "multi_thread")]
async fn a_customer_that_the_gateway_no_longer_knows_is_named() {
    let (gateway, app, scene) = start_with_gateway().await;
    create_subscription(&scene).await;
    app.database.sql("UPDATE gateway_customers SET customer_id = 'cus_deleted'").await;
    let charge = scene.cast.customer.keyed(Protocol::Rest, CHARGE, charge_of(&scene).await, &unique()).await;
    charge.failure("PAYMENT_FAILED");
    let code = "SELECT count(*) FROM payments WHERE failure_code = 'customer_missing'";
    assert_eq!(app.database.number(code).await, 1);
    let metrics = app.private.get("/metrics").await.body.to_string();
    assert!(metrics.contains(r#"cause=\"customer_missing\""#), "{metrics}");
    assert_eq!(gateway.settled_books(&app.database).await, 1);
}

/// The other worker may be creating one under the same key.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_overtaken_attaches_no_customer() {
    let (gateway, app, scene) = start_configured(&WITHOUT_RETRIES).await;
    gateway.behave_at("POST /v1/customers", json!({ "refuse": 503 }), 0).await;
    let response = scene
        .cast
        .customer
        .keyed(Protocol::Rest, CREATE, subscription_request(&scene).await, &unique())
        .await
        .success();
    assert_eq!(response.status, 202);
    gateway.behave_well().await;
    let slow = overtaken::<Subscription>(&app, "subscriptions").await;
    assert!(run_detached(&app.app, slow).await.is_none());
    assert!(is_theirs(&app, "subscriptions").await);
    assert_eq!(gateway.objects("customer").len(), 1, "it was created");
    assert_eq!(app.database.number("SELECT count(*) FROM gateway_customers").await, 0, "and is not used yet");
}
