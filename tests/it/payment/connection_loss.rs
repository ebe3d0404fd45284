//! The connection to Postgres breaks between the intent and the outcome, or on either side of their COMMITs.

use std::sync::Arc;

use serde_json::json;

use super::{CHARGE, FakeGateway, MAKE_DUE, REFUND, UNFINISHED_WORK, alerts, call_until_final, charge_of, pay, search};
use crate::{
    cases::Scene,
    support::{
        Protocol, TestApp, TestDatabase, eventually,
        proxy::{Cut, Proxy},
        unique,
    },
};

/// Starts an app whose connections to Postgres, including those of its jobs, go through a proxy that can cut them.
async fn start_app_behind_proxy(gateway: &FakeGateway) -> (TestApp, Scene, Proxy) {
    let database = Arc::new(TestDatabase::new().await);
    let proxy = Proxy::new(&database).await;
    let (app, scene) = Scene::start_with(
        TestApp::builder()
            .on(&database)
            .with_jobs()
            .set("DATABASE_URL", proxy.url.clone())
            .set_all(gateway.variables()),
    )
    .await;
    (app, scene, proxy)
}

async fn intent_cut(cut: Cut) {
    let gateway = FakeGateway::start().await;
    let (app, scene, proxy) = start_app_behind_proxy(&gateway).await;
    let request = charge_of(&scene).await;
    scene.cast.customer.token().await;
    proxy.cut(cut, r#"INSERT INTO "payments""#);
    let response = scene.cast.customer.keyed(Protocol::Rest, CHARGE, request.clone(), "one").await;
    match cut {
        // The same request carries the charge out.
        Cut::AfterCommit => assert_eq!(response.status, 201, "{response:#?}"),
        // Nothing was committed, so the response may say that the charge did not happen; or that the outcome is
        // unknown, while Postgres has not noticed the broken connection.
        _ => {
            assert!(["UNAVAILABLE", "IDEMPOTENCY_IN_PROGRESS"].contains(&response.reason.as_str()), "{response:#?}")
        }
    }
    let retried = call_until_final(&scene.cast.customer, Protocol::Grpc, CHARGE, &request, "one").await.success();
    assert_eq!(retried.status, 201);
    assert_eq!(gateway.settled_books(&app.database).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_before_the_intent_commits_charges_once() {
    intent_cut(Cut::BeforeCommit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_after_the_intent_commits_charges_once() {
    intent_cut(Cut::AfterCommit).await;
}

/// The gateway has charged when the connection breaks during the outcome's COMMIT; the response must not report a
/// failure.
async fn outcome_cut(cut: Cut) {
    let gateway = FakeGateway::start().await;
    let (app, scene, proxy) = start_app_behind_proxy(&gateway).await;
    let request = charge_of(&scene).await;
    scene.cast.customer.token().await;
    gateway.behave(json!({ "delay_after": 600 }), 1).await;
    let call = scene.cast.customer.keyed(Protocol::Rest, CHARGE, request.clone(), "one");
    let (answer, ()) = tokio::join!(call, async {
        eventually("the gateway has moved the money", async || !gateway.movements().is_empty()).await;
        proxy.cut(cut, r#"UPDATE "payments""#);
    });
    assert!(answer.reason.is_empty(), "a failure after a charge: {answer:#?}");
    assert!([201, 202].contains(&answer.status), "{answer:#?}");
    assert_eq!(gateway.settled_books(&app.database).await, 1);
    let again = call_until_final(&scene.cast.customer, Protocol::Grpc, CHARGE, &request, "one").await.success();
    assert_eq!((again.status, again.id()), (201, answer.id()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_before_the_outcome_commits_charges_once() {
    outcome_cut(Cut::BeforeCommit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_after_the_outcome_commits_charges_once() {
    outcome_cut(Cut::AfterCommit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_backend_is_terminated_while_the_gateway_charges() {
    let gateway = FakeGateway::start().await;
    let (app, scene) = super::start_app(&gateway).await;
    let request = charge_of(&scene).await;
    scene.cast.customer.token().await;
    gateway.behave(json!({ "delay_after": 600 }), 1).await;
    let call = scene.cast.customer.keyed(Protocol::Grpc, CHARGE, request.clone(), "one");
    let (answer, ()) = tokio::join!(call, async {
        eventually("the gateway has moved the money", async || !gateway.movements().is_empty()).await;
        let query = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                     WHERE datname = current_database() AND pid <> pg_backend_pid()";
        assert!(app.database.number(query).await > 0);
    });
    assert!(answer.reason.is_empty(), "a failure after a charge: {answer:#?}");
    assert_eq!(gateway.settled_books(&app.database).await, 1);
    let again = call_until_final(&scene.cast.customer, Protocol::Rest, CHARGE, &request, "one").await.success();
    assert_eq!((again.status, again.id()), (201, answer.id()));
}

/// Postgres hangs once the gateway has charged: neither the outcome is committed nor the payment read before the
/// caller's deadline.
#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_hangs_after_the_charge_leaves_a_pending_payment() {
    let gateway = FakeGateway::start().await;
    let (app, scene, proxy) = start_app_behind_proxy(&gateway).await;
    let request = charge_of(&scene).await;
    scene.cast.customer.token().await;
    gateway.behave(json!({ "delay_after": 600 }), 1).await;
    let headers = [("idempotency-key", "one"), ("x-request-timeout", "2")];
    let call = scene.cast.customer.call_with(Protocol::Rest, CHARGE, request.clone(), &headers);
    let (answer, ()) = tokio::join!(call, async {
        eventually("the gateway has moved the money", async || !gateway.movements().is_empty()).await;
        proxy.hang(true);
    });
    assert_eq!(answer.status, 202, "a started payment is never reported as failed: {answer:#?}");
    proxy.hang(false);
    assert_eq!(gateway.settled_books(&app.database).await, 1);
    let again = call_until_final(&scene.cast.customer, Protocol::Grpc, CHARGE, &request, "one").await.success();
    assert_eq!((again.status, again.id()), (201, answer.id()));
}

/// The answer to the COMMIT of a reversal is lost, and the repeated job finds nothing to reverse.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_after_a_reversal_commits_raises_the_alert() {
    let gateway = FakeGateway::start().await;
    let (app, scene, proxy) = start_app_behind_proxy(&gateway).await;
    let payment = pay(&scene).await.id();
    scene.cast.admin.keyed(Protocol::Rest, REFUND, json!({ "paymentId": payment }), &unique()).await.success();
    let gateway_id = app.database.sql("SELECT gateway_id FROM refunds").await[0][0].clone().expect("an id");
    proxy.cut(Cut::AfterCommit, r#"UPDATE "refunds""#);
    gateway.return_refund(&gateway_id).await;
    search(&app, "find_returned_refunds").await;
    let reversed = "SELECT count(*) FROM refunds WHERE status = 3 AND failure_code = 'returned'";
    eventually("the reversal is committed", async || app.database.number(reversed).await == 1).await;
    eventually("no job is left", async || {
        app.database.sql(MAKE_DUE).await;
        app.database.number(UNFINISHED_WORK).await == 0
    })
    .await;
    assert_eq!(alerts("refund_returned"), 1);
}
