//! Failures of the gateway.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{CHARGE, FakeGateway, REFUND, call_until_final, charge_of, pay, start_app, start_with_gateway};
use crate::{
    cases::Scene,
    support::{PROTOCOLS, Protocol, euro, eventually, unique},
};

/// The gateway is called again under the same key within one call, transparently for the caller.
#[tokio::test(flavor = "multi_thread")]
async fn a_short_failure_is_hidden_from_the_caller() {
    let (gateway, app, scene) = start_with_gateway().await;
    let behaviours =
        [json!("hang_up_before"), json!("hang_up_after"), json!({ "refuse": 500 }), json!({ "refuse": 429 })];
    for (number, behaviour) in behaviours.into_iter().enumerate() {
        let request = charge_of(&scene).await;
        gateway.behave(behaviour.clone(), 1).await;
        let charge = scene.cast.customer.keyed(PROTOCOLS[number % 2], CHARGE, request, &unique()).await.success();
        assert_eq!((charge.status, charge.is_replayed()), (201, false), "{behaviour}: {charge:#?}");
        assert_eq!(gateway.settled_books(&app.database).await, number + 1, "{behaviour}");
    }
}

/// Failures that outlast the request: it answers 202, and the job finishes the work.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_is_pending_until_it_is_known() {
    let (gateway, app, scene) = start_with_gateway().await;
    let behaviours =
        [json!("hang_up_after"), json!({ "refuse": 503 }), json!({ "delay_after": 1500 }), json!("hang_up_before")];
    for (number, behaviour) in behaviours.into_iter().enumerate() {
        let (request, key) = (charge_of(&scene).await, unique());
        gateway.behave(behaviour.clone(), 0).await;
        let charge = scene.cast.customer.keyed(Protocol::Rest, CHARGE, request.clone(), &key).await.success();
        assert_eq!(
            (charge.status, charge.text("/data/status").as_str()),
            (202, "PAYMENT_STATUS_PENDING"),
            "{behaviour}"
        );
        assert_eq!(charge.header("location"), Some(format!("/api/v1/payments/{}", charge.id()).as_str()));
        assert!(charge.header("retry-after").is_some());
        // While the outcome is unknown, the order can be neither paid again nor canceled.
        let order = json!({ "orderId": request["orderId"] });
        scene
            .cast
            .customer
            .call(Protocol::Grpc, "OrderService.CancelOrder", order)
            .await
            .failure("ORDER_PAYMENT_PENDING");
        gateway.behave_well().await;
        assert_eq!(gateway.settled_books(&app.database).await, number + 1, "{behaviour}");
        let polled =
            scene.cast.customer.call(Protocol::Grpc, "PaymentService.GetPayment", json!({ "paymentId": charge.id() }));
        assert_eq!(polled.await.success().text("/data/status"), "PAYMENT_STATUS_SUCCEEDED");
        let again = scene.cast.customer.keyed(Protocol::Grpc, CHARGE, request, &key).await.success();
        assert_eq!((again.status, again.is_replayed(), again.id()), (201, true, charge.id()));
    }
}

/// The retry need not wait for the job.
#[tokio::test(flavor = "multi_thread")]
async fn a_retry_settles_an_unknown_outcome() {
    let gateway = FakeGateway::start().await;
    let (app, scene) = Scene::start_with(crate::support::TestApp::builder().set_all(gateway.variables())).await;
    let request = charge_of(&scene).await;
    gateway.behave(json!("hang_up_after"), 3).await;
    let charge = scene.cast.customer.keyed(Protocol::Grpc, CHARGE, request.clone(), "one").await.success();
    assert_eq!(charge.status, 202);
    let again = scene.cast.customer.keyed(Protocol::Rest, CHARGE, request, "one").await.success();
    assert_eq!((again.status, again.is_replayed(), again.id()), (201, true, charge.id()), "{again:#?}");
    assert_eq!(gateway.settled_books(&app.database).await, 1);
}

/// The work continues when the caller disconnects.
#[tokio::test(flavor = "multi_thread")]
async fn a_disconnected_caller_is_charged_once() {
    let (gateway, app, scene) = start_with_gateway().await;
    let request = charge_of(&scene).await;
    scene.cast.customer.token().await;
    gateway.behave(json!({ "delay_before": 900 }), 1).await;
    let call = scene.cast.customer.keyed(Protocol::Rest, CHARGE, request.clone(), "one");
    let payments = "SELECT count(*) FROM payments";
    let wait = eventually("the payment is stored", async || app.database.number(payments).await > 0);
    tokio::select! {
        answer = call => panic!("the gateway should still be working: {answer:#?}"),
        () = wait => {}
    }
    assert_eq!(gateway.settled_books(&app.database).await, 1);
    let again = call_until_final(&scene.cast.customer, Protocol::Grpc, CHARGE, &request, "one").await.success();
    assert!(again.is_replayed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_deadline_returns_a_pending_payment() {
    let gateway = FakeGateway::start().await;
    let (app, scene) = Scene::start_with(
        crate::support::TestApp::builder().with_jobs().set_all(gateway.variables()).set("GATEWAY_TIMEOUT", "3s"),
    )
    .await;
    let request = charge_of(&scene).await;
    gateway.behave(json!({ "delay_before": 2500 }), 1).await;
    let headers = [("idempotency-key", "one"), ("x-request-timeout", "2")];
    let charge = scene.cast.customer.call_with(Protocol::Rest, CHARGE, request, &headers).await.success();
    assert_eq!(charge.status, 202, "a started payment is never reported as failed: {charge:#?}");
    assert_eq!(gateway.settled_books(&app.database).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_card_leaves_the_order_open() {
    let (gateway, app, scene) = start_with_gateway().await;
    let mut request = charge_of(&scene).await;
    request["paymentMethod"] = "pm_card_visa_chargeDeclinedInsufficientFunds".into();
    let first =
        scene.cast.customer.keyed(Protocol::Rest, CHARGE, request.clone(), "one").await.failure("CARD_DECLINED");
    assert!(!first.is_replayed());
    for protocol in PROTOCOLS {
        let again = scene.cast.customer.keyed(protocol, CHARGE, request.clone(), "one").await.failure("CARD_DECLINED");
        assert!(again.is_replayed());
        assert_eq!(again.text("/error/message"), first.text("/error/message"));
    }
    let of = json!({ "orderId": request["orderId"] });
    let listed = scene.cast.customer.call(Protocol::Grpc, "PaymentService.ListPayments", of).await.success();
    assert_eq!(listed.text("/data/0/failureCode"), "insufficient_funds");
    request["paymentMethod"] = "pm_card_visa".into();
    scene.cast.customer.keyed(Protocol::Grpc, CHARGE, request, "two").await.success();
    assert_eq!(gateway.settled_books(&app.database).await, 1);
}

/// The gateway rejects the API key: one alert is raised, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_api_key_raises_an_alert() {
    let gateway = FakeGateway::start().await;
    let database = std::sync::Arc::new(crate::support::TestDatabase::new().await);
    let server = super::process(&database, &gateway, &[("PAYMENT_RETRY_WAIT", "100ms")]).await;
    let scene = Scene::at(&server, &database).await;
    gateway.behave(json!({ "refuse": 401 }), 0).await;
    let request = charge_of(&scene).await;
    let charge = scene.cast.customer.keyed(Protocol::Rest, CHARGE, request, "one").await.success();
    assert_eq!(charge.status, 202);
    let since = Instant::now();
    let raised = loop {
        let metrics = server.private.get("/metrics").await.body;
        // The order of the series differs from one rendering to the next.
        let series = "mainstay_alerts_total{provider=\"stripe\",cause=\"auth\"} ";
        let value = metrics.as_str().expect("text").lines().find_map(|line| line.strip_prefix(series));
        let count: u32 = value.and_then(|value| value.parse().ok()).unwrap_or_default();
        if count > 1 {
            break count;
        }
        assert!(since.elapsed() < Duration::from_secs(60), "the gateway is not called again: {metrics}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    server.wait_for_log("\"alert\":\"auth\"").await;
    let log_lines = server.log().matches("\"alert\":\"auth\"").count();
    assert_eq!(log_lines, 1, "{raised} alerts, one log line:\n{}", server.log());
    gateway.behave_well().await;
    assert_eq!(gateway.settled_books(&database).await, 1);
    assert!(!server.log().contains("sk_test_of_the_fault_tests"), "the log does not contain the key");
}

#[tokio::test(flavor = "multi_thread")]
async fn payments_settle_after_the_gateway_restarts() {
    let mut gateway = FakeGateway::start().await;
    let (app, scene) = start_app(&gateway).await;
    let payment = pay(&scene).await.id();
    let request = charge_of(&scene).await;
    gateway.kill();
    let charge = scene.cast.customer.keyed(Protocol::Rest, CHARGE, request, "one").await.success();
    assert_eq!(charge.status, 202, "started before the circuit opened: {charge:#?}");
    let refund = json!({ "paymentId": payment, "amount": euro("50") });
    let refund = scene.cast.admin.keyed(Protocol::Grpc, REFUND, refund, "one").await;
    assert!(refund.status == 202 || refund.reason == "CIRCUIT_OPEN", "{refund:#?}");
    gateway.restart().await;
    let expected = if refund.status == 202 { 3 } else { 2 };
    assert_eq!(gateway.settled_books(&app.database).await, expected);
    eventually("the circuit is closed", async || {
        let health = app.private.http.get(format!("{}/health", app.private.base())).send();
        health.await.expect("an answer").status() == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_app_notices_that_the_gateway_is_back() {
    let mut gateway = FakeGateway::start().await;
    // Without jobs, so that only the requests of this test call the gateway.
    let (app, scene) = Scene::start_with(crate::support::TestApp::builder().set_all(gateway.variables())).await;
    gateway.kill();
    let since = Instant::now();
    for number in 0.. {
        let (request, key) = (charge_of(&scene).await, format!("charge-{number}"));
        if scene.cast.customer.keyed(Protocol::Rest, CHARGE, request, &key).await.reason == "CIRCUIT_OPEN" {
            break;
        }
        assert!(since.elapsed() < Duration::from_secs(60), "the circuit stays closed");
    }
    let health = async || {
        let response = app.private.http.get(format!("{}/health", app.private.base())).send().await.expect("an answer");
        let status = response.status().as_u16();
        (status, response.json::<serde_json::Value>().await.expect("JSON")["dependencies"]["gateway"].clone())
    };
    assert_eq!(health().await, (503, json!("unavailable")));
    // The circuit's first pause has passed, and the probe fails.
    eventually("a probe goes out", async || {
        app.app.part::<std::sync::Arc<dyn mainstay::payments::gateway::Gateway>>().circuit()
            != mainstay_kernel::breaker::Circuit::Open
    })
    .await;
    let since = Instant::now();
    while app.app.part::<std::sync::Arc<dyn mainstay::payments::gateway::Gateway>>().circuit()
        != mainstay_kernel::breaker::Circuit::Open
    {
        assert_eq!(health().await, (503, json!("unavailable")));
        assert!(since.elapsed() < Duration::from_secs(60), "no probe goes out");
    }
    gateway.restart().await;
    eventually("the app is healthy again", async || health().await == (200, json!("ok"))).await;
    assert_eq!(
        app.app.part::<std::sync::Arc<dyn mainstay::payments::gateway::Gateway>>().circuit(),
        mainstay_kernel::breaker::Circuit::Closed
    );
}

/// A bank's suspicion is visible to staff only; a caller with a stolen card just sees a decline.
#[tokio::test(flavor = "multi_thread")]
async fn a_suspected_fraud_is_not_revealed_to_the_caller() {
    let (_gateway, _app, scene) = start_with_gateway().await;
    let mut request = charge_of(&scene).await;
    request["paymentMethod"] = json!("pm_card_visa_chargeDeclinedStolenCard");
    let response = scene.cast.customer.keyed(Protocol::Rest, CHARGE, request, &unique()).await.failure("CARD_DECLINED");
    assert!(!response.body.to_string().contains("stolen"), "{response:#?}");
    for (who, code) in [(&scene.cast.customer, "generic_decline"), (&scene.cast.agent, "stolen_card")] {
        let listed = who.call(Protocol::Grpc, "PaymentService.ListPayments", json!({})).await.success();
        assert_eq!(listed.text("/data/0/failureCode"), code);
        let get = json!({ "paymentId": listed.text("/data/0/id") });
        let response = who.rest("PaymentService.GetPayment", get).await.success();
        assert_eq!(response.text("/data/failureCode"), code);
    }
}

/// The smallest unit of a currency is Stripe's on the wire and ISO 4217's in this API.
#[tokio::test(flavor = "multi_thread")]
async fn amounts_are_converted_between_the_units_of_stripe_and_iso_4217() {
    let (gateway, app, scene) = start_with_gateway().await;
    gateway.tells(&[&app.endpoint], json!("once")).await;
    let buy = async |product: String| {
        let order = json!({ "items": [{ "productId": product, "quantity": 1 }] });
        let order = scene.cast.customer.rest("OrderService.CreateOrder", order).await.success().id();
        let request = json!({ "orderId": order, "paymentMethod": "pm_card_visa" });
        scene.cast.customer.keyed(Protocol::Rest, CHARGE, request, &unique()).await
    };
    let charge =
        async |minor: i64, currency: &str| buy(crate::cases::order::product(&scene, minor, currency).await).await;
    let krona = charge(500, "ISK").await.success();
    assert_eq!(krona.status, 201);
    let back = json!({ "paymentId": krona.id(), "amount": { "amountMinor": "100", "currencyCode": "ISK" } });
    scene.cast.admin.keyed(Protocol::Grpc, REFUND, back, &unique()).await.success();
    charge(700, "MGA").await.success();
    charge(700, "JPY").await.success();
    let mut amounts: Vec<_> = gateway.movements().iter().map(|movement| movement.amount).collect();
    amounts.sort_unstable();
    assert_eq!(amounts, [-10_000, 7, 700, 50_000]);
    eventually("the events are acknowledged", async || {
        app.database.number("SELECT count(*) FROM inbound_events WHERE state = 2").await == 4
    })
    .await;
    // No product has an amount that Stripe can't represent. That of an earlier version is rejected, and nothing is charged.
    for (minor, currency) in [(700, "MGA"), (1_230, "KWD")] {
        let product = crate::cases::order::product(&scene, minor, currency).await;
        let odd = json!({ "amountMinor": (minor + 1).to_string(), "currencyCode": currency });
        let change = json!({ "productId": product, "product": { "price": odd } });
        scene.cast.admin.rest("ProductService.UpdateProduct", change).await.failure("VALIDATION_FAILED");
        let earlier = format!("UPDATE products SET price_minor = price_minor + 1 WHERE id = '{product}'");
        app.database.sql(&earlier).await;
        buy(product).await.failure("PAYMENT_FAILED");
    }
    assert_eq!(gateway.movements().len(), 4);
    let report = mainstay::payments::ledger::ops::check(&app.app).await.expect("checked");
    assert_eq!((report.booked, report.moved, report.unsettled, &report.faults), (4, 4, 0, &Vec::new()));
}
