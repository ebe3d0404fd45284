//! Failures of the gateway while a subscription starts or is canceled.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;

use super::{
    CANCEL, CREATE, FakeGateway, GET, agrees, call_until_final, cancel, create_subscription, start_app,
    start_with_gateway, stored_state, subscription_request,
};
use crate::{
    payment::alerts,
    support::{PROTOCOLS, Protocol, unique},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_starts_and_its_first_period_is_booked() {
    let (gateway, app, scene) = start_with_gateway().await;
    for (number, protocol) in PROTOCOLS.into_iter().enumerate() {
        let request = subscription_request(&scene).await;
        let response = scene.cast.customer.keyed(protocol, CREATE, request.clone(), &unique()).await.success();
        assert_eq!((response.status, response.is_replayed()), (201, false), "{response:#?}");
        assert_eq!(response.text("/data/status"), "SUBSCRIPTION_STATUS_ACTIVE");
        assert_eq!(response.text("/data/productId"), request["productId"].as_str().expect("an id"));
        let subscription = gateway.objects("subscription").pop().expect("one");
        assert_eq!(response.text("/data/gatewayId"), subscription["id"].as_str().expect("an id"));
        agrees(&app.database, &response.id(), &subscription).await;
        assert_eq!(gateway.settled_books(&app.database).await, number + 1);
    }
}

/// Declined at once or at the payment of the first period: no subscription starts, and nothing is left to pay.
#[tokio::test(flavor = "multi_thread")]
async fn a_declined_card_leaves_no_subscription() {
    let (gateway, app, scene) = start_with_gateway().await;
    let cards =
        [("pm_card_visa_chargeDeclined", "generic_decline"), ("pm_card_chargeCustomerFail", "insufficient_funds")];
    for (card, code) in cards {
        let mut request = subscription_request(&scene).await;
        request["paymentMethod"] = card.into();
        let key = unique();
        let first =
            scene.cast.customer.keyed(Protocol::Rest, CREATE, request.clone(), &key).await.failure("CARD_DECLINED");
        let again = scene.cast.customer.keyed(Protocol::Grpc, CREATE, request, &key).await.failure("CARD_DECLINED");
        assert!(!first.is_replayed() && again.is_replayed(), "{card}");
        let failed = json!({ "statuses": ["SUBSCRIPTION_STATUS_FAILED"], "pageSize": 1 });
        let listed =
            scene.cast.customer.call(Protocol::Grpc, "SubscriptionService.ListSubscriptions", failed).await.success();
        assert_eq!(listed.text("/data/0/failureCode"), code);
    }
    assert_eq!(gateway.objects("subscription").len(), 0);
    assert_eq!(gateway.settled_books(&app.database).await, 0);
}

/// Failures that outlast the request, at each step: it answers 202, and the job finishes the work.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_is_pending_until_it_is_known() {
    let (gateway, app, scene) = start_with_gateway().await;
    let behaviours = [
        ("POST /v1/customers", json!("hang_up_after")),
        ("POST /v1/payment_methods", json!("hang_up_after")),
        ("POST /v1/prices", json!({ "refuse": 503 })),
        ("POST /v1/subscriptions", json!("hang_up_after")),
        ("POST /v1/subscriptions", json!({ "delay_after": 1500 })),
        ("GET /v1/subscriptions", json!("hang_up_before")),
        ("GET /v1/invoices", json!({ "refuse": 500 })),
    ];
    for (number, (at, behaviour)) in behaviours.into_iter().enumerate() {
        let (request, key) = (subscription_request(&scene).await, unique());
        gateway.behave_at(at, behaviour.clone(), 0).await;
        let response = scene.cast.customer.keyed(Protocol::Rest, CREATE, request.clone(), &key).await.success();
        assert_eq!(
            (response.status, response.text("/data/status").as_str()),
            (202, "SUBSCRIPTION_STATUS_PENDING"),
            "{at}"
        );
        assert_eq!(response.header("location"), Some(format!("/api/v1/subscriptions/{}", response.id()).as_str()));
        // A subscription whose outcome is unknown can't be canceled.
        let refusal = scene.cast.customer.call(Protocol::Grpc, CANCEL, cancel(&response.id(), false)).await;
        refusal.failure("SUBSCRIPTION_PENDING");
        gateway.behave_well().await;
        assert_eq!(gateway.settled_books(&app.database).await, number + 1, "{at} {behaviour}");
        assert_eq!(gateway.objects("subscription").len(), number + 1, "{at} {behaviour}");
        let again = scene.cast.customer.keyed(Protocol::Grpc, CREATE, request, &key).await.success();
        assert_eq!((again.status, again.is_replayed(), again.id()), (201, true, response.id()));
        assert_eq!(again.text("/data/status"), "SUBSCRIPTION_STATUS_ACTIVE");
    }
}

/// A 500 stored under the key says nothing about the subscription; only a look-up does.
#[tokio::test(flavor = "multi_thread")]
async fn a_stored_failure_is_looked_up() {
    let (gateway, app, scene) = start_with_gateway().await;
    for (number, behaviour, attempts) in [(1, "move_and_break", 1), (2, "break", 2)] {
        let (request, key) = (subscription_request(&scene).await, unique());
        gateway.behave_at("POST /v1/subscriptions", json!(behaviour), 1).await;
        let response = scene.cast.customer.keyed(Protocol::Rest, CREATE, request.clone(), &key).await.success();
        assert_eq!(response.status, 202, "{behaviour}: {response:#?}");
        assert_eq!(gateway.settled_books(&app.database).await, number, "{behaviour}");
        let attempt = format!("SELECT attempt FROM subscriptions WHERE id = '{}'", response.id());
        assert_eq!(app.database.number(&attempt).await, attempts, "{behaviour}");
        assert_eq!((gateway.objects("subscription").len(), gateway.objects("customer").len()), (number, 1));
        let again = call_until_final(&scene.cast.customer, Protocol::Grpc, CREATE, &request, &key).await.success();
        assert_eq!(again.id(), response.id());
    }
}

/// After a day the gateway has forgotten the keys: the app looks the subscription up and never subscribes again
/// blindly.
#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_whose_keys_expired_is_looked_up() {
    let (gateway, app, scene) = start_with_gateway().await;
    let requests = [subscription_request(&scene).await, subscription_request(&scene).await];
    let mut ids = Vec::new();
    for (request, behaviour) in requests.into_iter().zip(["hang_up_after", "hang_up_before"]) {
        gateway.behave_at("POST /v1/subscriptions", json!(behaviour), 0).await;
        let answer = scene.cast.customer.keyed(Protocol::Rest, CREATE, request, behaviour).await;
        // The circuit may have opened by the second request; then there is only the first subscription.
        ids.extend((answer.status == 202).then(|| answer.id()));
    }
    app.app.clock.advance(TimeDelta::hours(23) + TimeDelta::minutes(1));
    // Workers use the clock of Postgres, so advancing the app's clock makes nothing due.
    let (database, stop) = (app.database.clone(), tokio_util::sync::CancellationToken::new());
    let _turning = stop.clone().drop_guard();
    tokio::spawn(stop.run_until_cancelled_owned(async move {
        loop {
            database.sql(crate::payment::MAKE_DUE).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }));
    assert_eq!(gateway.settled_books(&app.database).await, 1, "nothing was paid a second time");
    assert_eq!(stored_state(&app.database, &ids[0]).await.0, 2);
    if let Some(id) = ids.get(1) {
        let failed = format!("SELECT count(*) FROM subscriptions WHERE id = '{id}' AND failure_code = 'no_answer'");
        assert_eq!(app.database.number(&failed).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_cancelled_at_once_or_at_period_end() {
    let (gateway, app, scene) = start_with_gateway().await;
    let id = create_subscription(&scene).await.id();
    let later = scene.cast.customer.keyed(Protocol::Grpc, CANCEL, cancel(&id, true), "later").await.success();
    assert_eq!(
        (later.text("/data/status").as_str(), &later.data()["cancelAtPeriodEnd"]),
        ("SUBSCRIPTION_STATUS_ACTIVE", &json!(true))
    );
    let now = scene.cast.customer.keyed(Protocol::Rest, CANCEL, cancel(&id, false), "now").await.success();
    assert_eq!((now.status, now.text("/data/status").as_str()), (200, "SUBSCRIPTION_STATUS_CANCELLED"));
    assert!(now.data()["cancelTime"].is_string() && now.data()["cancelAtPeriodEnd"] == false, "{now:#?}");
    let again = scene.cast.customer.keyed(Protocol::Grpc, CANCEL, cancel(&id, false), "now").await.success();
    assert!(again.is_replayed());
    assert_eq!(again.text("/data/status"), "SUBSCRIPTION_STATUS_CANCELLED");
    agrees(&app.database, &id, &gateway.objects("subscription")[0]).await;
    assert_eq!(gateway.settled_books(&app.database).await, 1);
}

/// A cancellation whose intent is committed takes effect, even if calls to the gateway fail.
#[tokio::test(flavor = "multi_thread")]
async fn an_unconfirmed_cancellation_is_pending_until_it_takes_effect() {
    let mut gateway = FakeGateway::start().await;
    let (app, scene) = start_app(&gateway).await;
    let behaviours = [
        ("DELETE", json!("hang_up_after"), false),
        ("DELETE", json!({ "refuse": 503 }), false),
        ("POST /v1/subscriptions/", json!("break"), true),
        ("POST /v1/subscriptions/", json!("move_and_break"), true),
        ("GET /v1/subscriptions", json!("hang_up_before"), false),
    ];
    for (at, behaviour, at_period_end) in behaviours {
        let id = create_subscription(&scene).await.id();
        gateway.behave_at(at, behaviour.clone(), if at_period_end { 1 } else { 0 }).await;
        let canceled =
            scene.cast.customer.keyed(Protocol::Rest, CANCEL, cancel(&id, at_period_end), &id).await.success();
        if behaviour == json!("move_and_break") {
            // A look-up shows that the cancellation took effect.
            assert_eq!(canceled.status, 200, "{canceled:#?}");
        } else if behaviour != json!("hang_up_after") {
            assert_eq!(canceled.status, 202, "{at} {behaviour}: {canceled:#?}");
            assert_eq!(canceled.header("location"), Some(format!("/api/v1/subscriptions/{id}").as_str()));
            assert!(canceled.data()["pendingCancellation"].is_string(), "{canceled:#?}");
        }
        gateway.behave_well().await;
        gateway.settled_books(&app.database).await;
        let again = scene.cast.customer.keyed(Protocol::Grpc, CANCEL, cancel(&id, at_period_end), &id).await.success();
        let expected = if at_period_end { "SUBSCRIPTION_STATUS_ACTIVE" } else { "SUBSCRIPTION_STATUS_CANCELLED" };
        assert_eq!((again.status, again.text("/data/status").as_str()), (200, expected), "{at} {behaviour}");
        let theirs = gateway.objects("subscription").into_iter().find(|it| it["id"] == again.text("/data/gatewayId"));
        assert_eq!(theirs.expect("it is there")["cancel_at_period_end"], at_period_end, "{at} {behaviour}");
    }
    // A gateway that is down for so long that the circuit opens: cancellations are accepted anyway.
    let ids = [create_subscription(&scene).await.id(), create_subscription(&scene).await.id()];
    gateway.kill();
    for id in &ids {
        let canceled = scene.cast.customer.rest(CANCEL, cancel(id, false)).await.success();
        assert_eq!(canceled.status, 202, "{canceled:#?}");
    }
    gateway.restart().await;
    gateway.settled_books(&app.database).await;
    for id in &ids {
        let response = scene.cast.customer.call(Protocol::Grpc, GET, json!({ "subscriptionId": id })).await.success();
        assert_eq!(response.text("/data/status"), "SUBSCRIPTION_STATUS_CANCELLED");
    }
}

/// The subscription continues and collects money, so an alert is raised; the cancellation is requested again.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_cancellation_raises_an_alert_and_is_repeated() {
    let (gateway, app, scene) = start_with_gateway().await;
    let id = create_subscription(&scene).await.id();
    let alerted = alerts("cancellation_refused");
    gateway.behave_at("DELETE /v1/subscriptions/", json!({ "refuse": 400 }), 1).await;
    let cancelled = scene.cast.customer.rest(CANCEL, cancel(&id, false)).await.success();
    assert_eq!(cancelled.status, 202, "{cancelled:#?}");
    assert!(cancelled.data()["pendingCancellation"].is_string(), "{cancelled:#?}");
    assert_eq!(alerts("cancellation_refused"), alerted + 1);
    assert_eq!(gateway.settled_books(&app.database).await, 1);
    let response = scene.cast.customer.call(Protocol::Grpc, GET, json!({ "subscriptionId": id })).await.success();
    assert_eq!(response.text("/data/status"), "SUBSCRIPTION_STATUS_CANCELLED");
    assert_eq!(alerts("cancellation_refused"), alerted + 1, "it was refused once");
}

/// The subscription exists, but its answer was lost, and its card is detached before the request is repeated: the refusal
/// of the card does not mean that nothing happened.
#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_is_refused_on_a_repetition_does_not_fail_the_subscription() {
    let (gateway, app, scene) = start_with_gateway().await;
    let card = gateway.card().await;
    let mut request = subscription_request(&scene).await;
    request["paymentMethod"] = card.as_str().into();
    // The first subscription saves the card.
    scene.cast.customer.keyed(Protocol::Rest, CREATE, request.clone(), &unique()).await.success();
    gateway.behave_at("POST /v1/subscriptions", json!("hang_up_after"), 0).await;
    let key = unique();
    let pending = scene.cast.customer.keyed(Protocol::Rest, CREATE, request.clone(), &key).await.success();
    assert_eq!((pending.status, gateway.objects("subscription").len()), (202, 2), "{pending:#?}");
    gateway.detach(&card).await;
    gateway.behave_well().await;
    assert_eq!(gateway.settled_books(&app.database).await, 2);
    let found = call_until_final(&scene.cast.customer, Protocol::Grpc, CREATE, &request, &key).await.success();
    assert_eq!((found.id(), found.text("/data/status").as_str()), (pending.id(), "SUBSCRIPTION_STATUS_ACTIVE"));
    assert_eq!(gateway.objects("subscription").len(), 2);
}
