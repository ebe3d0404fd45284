//! Refunds that the app did not request: refunds made in the gateway's console, and refunds that the cardholder's bank
//! returned.

use chrono::TimeDelta;
use mainstay::payments::{refund::ops::RefundIntent, settlement::ops::finish};
use serde_json::json;

use super::{
    FakeGateway, MAKE_DUE, REFUND, UNFINISHED_WORK, WITHOUT_RETRIES, after_scheduled_searches, alerts,
    gateway_events::{deliver, state},
    ledger::check,
    pay, search, start_app_with, start_with_gateway,
};
use crate::{
    cases::Scene,
    support::{Protocol, TestApp, database::connect, euro, eventually, gateway::event, unique},
};

const RETURNED: &str = "SELECT count(*) FROM refunds WHERE status = 3 AND failure_code = 'returned'";

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_from_the_console_is_adopted_once() {
    let (gateway, app, scene) = start_with_gateway().await;
    gateway.tells(&[&app.endpoint], json!("twice")).await;
    let payment = pay(&scene).await.id();
    assert!(gateway.refund_at_console(&payment, 100).await);
    assert_eq!(gateway.settled_books(&app.database).await, 2);
    assert_eq!(state(&app).await, (2, 3, 100));
    let list = scene.cast.admin.rest("RefundService.ListRefunds", json!({ "paymentId": payment })).await.success();
    let [adopted] = list.data().as_array().expect("a list").as_slice() else { panic!("{list:#?}") };
    assert_eq!((&adopted["madeAtGateway"], &adopted["status"]), (&json!(true), &json!("REFUND_STATUS_SUCCEEDED")));
    // One refund through the API, then the rest at the console.
    let request = json!({ "paymentId": payment, "amount": euro("50") });
    let own = scene.cast.admin.keyed(Protocol::Rest, REFUND, request, &unique()).await.success();
    assert_eq!(own.data()["madeAtGateway"], json!(false));
    assert!(gateway.refund_at_console(&payment, 1000).await);
    assert_eq!(gateway.settled_books(&app.database).await, 4);
    eventually("the events are acknowledged", async || gateway.events() == (4, 4)).await;
    assert_eq!((state(&app).await, gateway.settled_books(&app.database).await), ((2, 5, 450), 4));
    let (is_ok, output) = check(&app, &gateway).await;
    assert!(is_ok && output.contains("4 movements are booked, the gateway has 4"), "{output}");
}

/// The pending refund exceeds what the gateway has left, and until the gateway refuses it, its reservation leaves no
/// room to adopt the refund from the console.
#[tokio::test(flavor = "multi_thread")]
async fn a_refund_from_the_console_waits_for_a_pending_refund_to_be_refused() {
    let (gateway, app, scene) = start_with_gateway().await;
    let payment = pay(&scene).await.id();
    gateway.behave(json!("hang_up_before"), 0).await;
    let request = json!({ "paymentId": payment, "amount": euro("300") });
    let pending = scene.cast.admin.keyed(Protocol::Rest, REFUND, request, &unique()).await.success();
    assert_eq!(pending.status, 202);
    assert!(gateway.refund_at_console(&payment, 450).await);
    gateway.tells(&[&app.endpoint], json!("once")).await;
    let waits = "SELECT count(*) FROM jobs
                 WHERE key LIKE 'sync_refunds:%' AND (payload ->> 'attempts')::int > 0";
    eventually("the adoption waits for the pending refund", async || app.database.number(waits).await == 1).await;
    assert_eq!(state(&app).await, (2, 3, 300));
    gateway.behave_well().await;
    assert_eq!(gateway.settled_books(&app.database).await, 2);
    assert_eq!(state(&app).await, (2, 5, 450));
    assert_eq!(
        app.database.number("SELECT count(*) FROM refunds WHERE status = 3").await,
        1,
        "the refund through the API was refused"
    );
}

/// Concurrent refunds through the API and at the console.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_refunds_from_both_sides_never_exceed_the_charge() {
    let (gateway, app, scene) = start_with_gateway().await;
    gateway.tells(&[&app.endpoint], json!("twice")).await;
    let payment = pay(&scene).await.id();
    scene.cast.admin.token().await;
    let ours = (0..6).map(|_| {
        let (admin, request) = (scene.cast.admin.clone(), json!({ "paymentId": payment, "amount": euro("70") }));
        async move { admin.keyed(Protocol::Rest, REFUND, request, &unique()).await }
    });
    let theirs = (0..3).map(|_| gateway.refund_at_console(&payment, 60));
    let (responses, _) = tokio::join!(futures_util::future::join_all(ours), futures_util::future::join_all(theirs));
    for response in &responses {
        let is_refused = ["PAYMENT_FAILED", "REFUND_EXCEEDS_PAYMENT", "PAYMENT_ALREADY_REFUNDED"]
            .contains(&response.reason.as_str());
        assert!(response.status == 201 || is_refused, "{response:#?}");
    }
    // The rest, if any.
    gateway.refund_at_console(&payment, 1000).await;
    gateway.settled_books(&app.database).await;
    assert_eq!(state(&app).await, (2, 5, 450));
    let (is_ok, output) = check(&app, &gateway).await;
    assert!(is_ok, "{output}");
}

/// The card holder's bank returns a refund long after it was made. The event arrives twice, the refund is reversed
/// once, and the books agree before and after.
#[tokio::test(flavor = "multi_thread")]
async fn a_returned_refund_is_reversed() {
    let (gateway, app, scene) = start_with_gateway().await;
    gateway.tells(&[&app.endpoint], json!("twice")).await;
    let payment = pay(&scene).await.id();
    let refund = json!({ "paymentId": payment });
    scene.cast.admin.keyed(Protocol::Rest, REFUND, refund.clone(), &unique()).await.success();
    // And of another payment two refunds made at the console, of which one stays.
    let other = pay(&scene).await.id();
    assert!(gateway.refund_at_console(&other, 100).await);
    assert!(gateway.refund_at_console(&other, 50).await);
    gateway.settled_books(&app.database).await;
    let refunded = "SELECT count(*) FROM orders WHERE status = 5";
    assert_eq!(app.database.number(refunded).await, 1);

    let of = |payment: &str| {
        format!("SELECT gateway_id FROM refunds WHERE payment_id = '{payment}' ORDER BY amount_minor DESC")
    };
    for payment in [&payment, &other] {
        let gateway_id = app.database.sql(&of(payment)).await[0][0].clone().expect("an id");
        gateway.return_refund(&gateway_id).await;
    }
    eventually("the refunds are reversed", async || app.database.number(RETURNED).await == 2).await;
    eventually("no job is left", async || app.database.number(UNFINISHED_WORK).await == 0).await;
    assert_eq!(app.database.number(refunded).await, 0);
    assert_eq!(app.database.number("SELECT sum(refunded_minor)::bigint FROM payments").await, 50);
    assert_eq!(app.database.number("SELECT count(*) FROM ledger_transactions WHERE kind = 4").await, 2);
    let (is_ok, output) = check(&app, &gateway).await;
    assert!(is_ok, "{output}");

    // There is room for another refund, which is independent of the first.
    scene.cast.admin.keyed(Protocol::Grpc, REFUND, refund, &unique()).await.success();
    assert_eq!(app.database.number(refunded).await, 1);
    let (is_ok, output) = check(&app, &gateway).await;
    assert!(is_ok, "{output}");
}

/// No webhook event reports the returned refund; a scheduled task finds it.
#[tokio::test(flavor = "multi_thread")]
async fn a_returned_refund_without_an_event_is_found() {
    let (gateway, app, scene) = start_with_gateway().await;
    let payment = pay(&scene).await.id();
    scene.cast.admin.keyed(Protocol::Rest, REFUND, json!({ "paymentId": payment }), &unique()).await.success();
    let find = async || {
        search(&app, "find_returned_refunds").await;
        eventually("no job is left", async || app.database.number(UNFINISHED_WORK).await == 0).await;
    };
    find().await;
    assert_eq!(app.database.number(RETURNED).await, 0, "everything agrees");
    let gateway_id = app.database.sql("SELECT gateway_id FROM refunds").await[0][0].clone().expect("an id");
    gateway.return_refund(&gateway_id).await;
    assert!(!check(&app, &gateway).await.0, "the books differ until the reversal");
    for _ in 0..2 {
        find().await;
        assert_eq!(app.database.number(RETURNED).await, 1);
        let (is_ok, output) = check(&app, &gateway).await;
        assert!(is_ok, "{output}");
    }
}

/// The response to a refund is lost, and the bank returns the refund before the app retries it. The gateway replays its
/// first answer, a success; in the end the refund is reversed.
#[tokio::test(flavor = "multi_thread")]
async fn a_refund_returned_before_its_outcome_is_known_is_reversed() {
    let (gateway, app, scene) = start_with_gateway().await;
    let payment = pay(&scene).await.id();
    gateway.behave_at("POST /v1/refunds", json!("hang_up_after"), 0).await;
    let refund = json!({ "paymentId": payment });
    let pending = scene.cast.admin.keyed(Protocol::Rest, REFUND, refund, &unique()).await.success();
    assert_eq!(pending.status, 202, "{pending:#?}");
    // Not earlier, because the event about the refund itself would make its outcome known.
    gateway.tells(&[&app.endpoint], json!("once")).await;
    let refund = gateway.movements().into_iter().find(|movement| movement.amount < 0).expect("it was made");
    gateway.return_refund(&refund.gateway_id).await;
    eventually("the event is processed", async || {
        app.database.number("SELECT count(*) FROM inbound_events WHERE state = 2 AND kind = 'refund.failed'").await == 1
    })
    .await;
    gateway.behave_well().await;
    eventually("the refund is reversed", async || app.database.number(RETURNED).await == 1).await;
    eventually("no job is left", async || app.database.number(UNFINISHED_WORK).await == 0).await;
    let (is_ok, output) = check(&app, &gateway).await;
    assert!(is_ok, "{output}");
}

/// A refund in the ledger can't be marked as failed without a reversal in the ledger.
#[tokio::test(flavor = "multi_thread")]
async fn the_database_refuses_to_fail_a_refund_without_a_reversal() {
    let (_gateway, app, scene) = start_with_gateway().await;
    let payment = pay(&scene).await.id();
    scene.cast.admin.keyed(Protocol::Rest, REFUND, json!({ "paymentId": payment }), &unique()).await.success();
    let failed =
        "UPDATE refunds SET status = 3, gateway_id = NULL, failure_kind = 2, failure_code = 'x', failure_message = 'x'";
    let error = connect(&app.database.url).await.batch_execute(failed).await.expect_err("it is in the ledger");
    let message = error.as_db_error().map(ToString::to_string).unwrap_or_default();
    assert!(message.contains("is not reversed in the ledger"), "{message}");
}

/// A payment with a refund that is pending here and unknown to the gateway.
async fn with_pending_refund(app: &TestApp, scene: &Scene, gateway: &FakeGateway) -> (String, String, String) {
    let payment = pay(scene).await.id();
    let charge =
        app.database.sql(&format!("SELECT gateway_id FROM payments WHERE id = '{payment}'")).await[0][0].clone();
    gateway.behave_at("POST /v1/refunds", json!("hang_up_before"), 0).await;
    let request = json!({ "paymentId": payment, "amount": euro("300") });
    let pending = scene.cast.admin.keyed(Protocol::Rest, REFUND, request, &unique()).await.success();
    assert_eq!(pending.status, 202);
    (payment, charge.expect("it succeeded"), pending.id())
}

/// Makes the app synchronize the refunds of a charge; returns the status of a refund here, and the number of booked
/// movements.
async fn sync_refunds(app: &TestApp, scene: &Scene, charge: &str, refund: &str) -> (i64, i64) {
    let change = event("charge.refunded", &json!({ "id": "ch_1", "currency": "eur", "payment_intent": charge }));
    assert_eq!(deliver(app, scene, &change).await, "processed");
    let jobs = "SELECT count(*) FROM jobs WHERE key LIKE 'sync_refunds:%'";
    eventually("the refunds are in sync", async || app.database.number(jobs).await == 0).await;
    let status = app.database.number(&format!("SELECT status FROM refunds WHERE id = '{refund}'")).await;
    (status, app.database.number("SELECT count(*) FROM ledger_transactions").await)
}

/// The refund stays pending for an operator: its amount differs from the requested one, but it names that request as
/// its cause.
#[tokio::test(flavor = "multi_thread")]
async fn a_refund_of_another_amount_than_requested_settles_nothing() {
    let mut gateway = FakeGateway::start().await;
    let (app, scene) = start_app_with(&gateway, &WITHOUT_RETRIES).await;
    let (_, charge, refund) = with_pending_refund(&app, &scene, &gateway).await;
    gateway.refund_from_nowhere(&charge, 100, "eur", json!({ "mainstay_refund": refund })).await;
    assert_eq!(
        sync_refunds(&app, &scene, &charge, &refund).await,
        (1, 1),
        "it is pending, and the charge alone is booked"
    );
    // Once its key is too old, the refund is looked up.
    let (alerted, id) = (alerts("mismatch"), refund.parse().expect("an id"));
    app.app.clock.advance(TimeDelta::hours(23) + TimeDelta::minutes(1));
    finish::<RefundIntent>(&app.app, id).await.expect("its key is abandoned");
    app.app.clock.advance(TimeDelta::seconds(2));
    finish::<RefundIntent>(&app.app, id).await.expect("looked up");
    assert_eq!(alerts("mismatch"), alerted + 1, "an operator is told");
    let abandoned = "SELECT count(*) FROM refunds WHERE status = 1 AND key_abandoned_at IS NOT NULL";
    assert_eq!(app.database.number(abandoned).await, 1);
    assert_eq!(app.database.number("SELECT count(*) FROM ledger_transactions").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_in_another_currency_is_not_booked() {
    let mut gateway = FakeGateway::start().await;
    let (app, scene) = start_app_with(&gateway, &WITHOUT_RETRIES).await;
    let (_, charge, refund) = with_pending_refund(&app, &scene, &gateway).await;
    gateway.refund_from_nowhere(&charge, 100, "usd", json!({})).await;
    assert_eq!(sync_refunds(&app, &scene, &charge, &refund).await, (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_names_one_of_another_payment_is_a_refund_of_its_own() {
    let mut gateway = FakeGateway::start().await;
    let (app, scene) = start_app_with(&gateway, &WITHOUT_RETRIES).await;
    let (_, _, refund) = with_pending_refund(&app, &scene, &gateway).await;
    let other = pay(&scene).await.id();
    let charge = app.database.sql(&format!("SELECT gateway_id FROM payments WHERE id = '{other}'")).await[0][0].clone();
    let charge = charge.expect("it succeeded");
    gateway.refund_from_nowhere(&charge, 300, "eur", json!({ "mainstay_refund": refund })).await;
    assert_eq!(
        sync_refunds(&app, &scene, &charge, &refund).await,
        (1, 3),
        "two charges, and the refund that was adopted"
    );
}

/// A hundred refunds exceed a page of the gateway's list.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_refunds_from_the_console_are_adopted() {
    let (gateway, app, scene) = start_with_gateway().await;
    let payment = pay(&scene).await.id();
    for _ in 0..105 {
        assert!(gateway.refund_at_console(&payment, 1).await);
    }
    gateway.tells(&[&app.endpoint], json!("once")).await;
    assert_eq!(gateway.settled_books(&app.database).await, 106);
    assert_eq!(state(&app).await, (2, 3, 105));
}

/// The app recovers from a lost webhook event.
#[tokio::test(flavor = "multi_thread")]
async fn a_refund_without_an_event_is_found() {
    let (gateway, app, scene) = start_with_gateway().await;
    let (payment, other) = (pay(&scene).await.id(), pay(&scene).await.id());
    assert!(gateway.refund_at_console(&payment, 100).await);
    assert!(gateway.refund_at_console(&other, 450).await);
    for _ in 0..2 {
        search(&app, "find_refunds").await;
        eventually("no job is left", async || app.database.number(UNFINISHED_WORK).await == 0).await;
        assert_eq!(gateway.settled_books(&app.database).await, 4);
        assert_eq!(app.database.number("SELECT sum(refunded_minor)::bigint FROM payments").await, 550);
        assert_eq!(app.database.number("SELECT count(*) FROM orders WHERE status = 5").await, 1);
    }
}

/// It moved money, so it is booked like one from the console; the alert is for an operator.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_refund_for_one_request_is_adopted_and_raises_an_alert() {
    let mut gateway = FakeGateway::start().await;
    let (app, scene) = start_app_with(&gateway, &WITHOUT_RETRIES).await;
    let request = json!({ "paymentId": pay(&scene).await.id(), "amount": euro("300") });
    let refund = scene.cast.admin.keyed(Protocol::Rest, REFUND, request, &unique()).await.success().id();
    let charge = app.database.sql("SELECT gateway_id FROM payments").await[0][0].clone().expect("it succeeded");
    gateway.refund_from_nowhere(&charge, 100, "eur", json!({ "mainstay_refund": refund })).await;
    assert_eq!(sync_refunds(&app, &scene, &charge, &refund).await, (2, 3), "a charge and two refunds are booked");
    assert_eq!(alerts("moved_twice"), 1);
}

/// An outage of the gateway neither uses up the attempts of a search nor delays it for hours.
#[tokio::test(flavor = "multi_thread")]
async fn a_search_continues_soon_after_an_outage_of_the_gateway() {
    const REPEATED: &str = "kind = 'find_refunds' AND (payload ->> 'repetitions')::int >= 8";

    let (gateway, app, scene) = start_with_gateway().await;
    let payment = pay(&scene).await.id();
    after_scheduled_searches(&app).await;
    assert!(gateway.refund_at_console(&payment, 100).await);
    gateway.behave_at("GET /v1/refunds", json!({ "refuse": 503 }), 0).await;
    search(&app, "find_refunds").await;
    eventually("eight queries have failed", async || {
        app.database.sql(MAKE_DUE).await;
        app.database.number(&format!("SELECT count(*) FROM jobs WHERE {REPEATED}")).await == 1
    })
    .await;
    let late = format!("SELECT count(*) FROM jobs WHERE {REPEATED} AND due_at > now() + interval '5 minutes'");
    assert_eq!(app.database.number(&late).await, 0);
    gateway.behave_well().await;
    eventually("the refund is found", async || {
        app.database.sql(MAKE_DUE).await;
        app.database.number("SELECT count(*) FROM refunds").await == 1
    })
    .await;
}
