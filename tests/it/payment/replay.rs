//! A repeated request gets the first final response, regardless of later changes of the resource, in one statement that
//! waits for no lock.

use serde_json::{Value, json};

use super::{CHARGE, REFUND, call_until_final, charge_of, start_with_gateway};
use crate::{
    cases::order::create_recurring_product,
    support::{
        Actor, PROTOCOLS, Protocol, Response, TestApp, TestDatabase, database::connect, euro, eventually, proxy::Proxy,
        unique,
    },
};

const SUBSCRIBE: &str = "SubscriptionService.CreateSubscription";
const CANCEL: &str = "SubscriptionService.CancelSubscription";

/// Repeats a request over each protocol, and compares the responses with the first one.
async fn repeats(who: &Actor, method: &str, request: &Value, key: &str, first: &Response) {
    for protocol in PROTOCOLS {
        let again = who.keyed(protocol, method, request.clone(), key).await.success();
        assert!(again.is_replayed(), "{again:#?}");
        assert_eq!((again.status, &again.body), (first.status, &first.body), "{method} over {protocol:?}");
        assert_eq!((again.header("etag"), again.header("location")), (first.header("etag"), first.header("location")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_after_a_refund_repeats_the_charge() {
    let (gateway, app, scene) = start_with_gateway().await;
    let (customer, admin) = (&scene.cast.customer, &scene.cast.admin);
    let request = charge_of(&scene).await;
    let charged = customer.keyed(Protocol::Rest, CHARGE, request.clone(), "one").await.success();
    assert_eq!((charged.status, charged.text("/data/version").as_str()), (201, "2"), "{charged:#?}");
    let refund = json!({ "paymentId": charged.id(), "amount": euro("100") });
    let refunded = admin.keyed(Protocol::Rest, REFUND, refund.clone(), "part").await.success();
    assert_eq!(app.database.number("SELECT version FROM payments").await, 3, "the refund changed the payment");
    repeats(customer, CHARGE, &request, "one", &charged).await;
    // The bank returns the refund, which fails it.
    gateway.tells(&[&app.endpoint], json!("once")).await;
    gateway.return_refund(&refunded.text("/data/gatewayId")).await;
    eventually("the refund is reversed", async || {
        app.database.number("SELECT count(*) FROM refunds WHERE status = 3").await == 1
    })
    .await;
    repeats(admin, REFUND, &refund, "part", &refunded).await;
    repeats(customer, CHARGE, &request, "one", &charged).await;
}

/// Here the job learns the outcome, and the request is repeated only after the refund.
#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_the_caller_did_not_wait_for_is_repeated_too() {
    let (gateway, app, scene) = start_with_gateway().await;
    let request = charge_of(&scene).await;
    gateway.behave(json!("hang_up_after"), 0).await;
    let pending = scene.cast.customer.keyed(Protocol::Rest, CHARGE, request.clone(), "one").await.success();
    assert_eq!(pending.status, 202, "{pending:#?}");
    gateway.behave_well().await;
    assert_eq!(gateway.settled_books(&app.database).await, 1);
    let settled = json!({ "paymentId": pending.id() });
    let settled = scene.cast.customer.rest("PaymentService.GetPayment", settled.clone()).await.success().body;
    scene.cast.admin.keyed(Protocol::Rest, REFUND, json!({ "paymentId": pending.id() }), &unique()).await.success();
    for protocol in PROTOCOLS {
        let again = scene.cast.customer.keyed(protocol, CHARGE, request.clone(), "one").await.success();
        assert_eq!((again.status, again.is_replayed(), &again.body["data"]), (201, true, &settled["data"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decline_is_repeated_as_each_caller_saw_it() {
    let (_gateway, app, scene) = start_with_gateway().await;
    for (who, code) in [(&scene.cast.customer, "generic_decline"), (&scene.cast.agent, "stolen_card")] {
        let mut request = charge_of(&scene).await;
        request["paymentMethod"] = json!("pm_card_visa_chargeDeclinedStolenCard");
        let first = who.keyed(Protocol::Rest, CHARGE, request.clone(), "one").await.failure("CARD_DECLINED");
        assert_eq!(first.text("/error/metadata/declineCode"), code, "{first:#?}");
        let order = request["orderId"].as_str().expect("an id");
        let payment = format!("SELECT id FROM payments WHERE order_id = '{order}'");
        let payment = app.database.sql(&payment).await[0][0].clone().expect("an id");
        assert_eq!(first.text("/error/metadata/paymentId"), payment, "{first:#?}");
        for protocol in PROTOCOLS {
            let again = who.keyed(protocol, CHARGE, request.clone(), "one").await.failure("CARD_DECLINED");
            assert!(again.is_replayed() && !first.is_replayed(), "{again:#?}");
            assert_eq!(again.text("/error/message"), first.text("/error/message"));
            assert_eq!(again.text("/error/metadata/declineCode"), code, "{again:#?}");
            assert_eq!(again.text("/error/metadata/paymentId"), payment, "{again:#?}");
        }
    }
    let query = "SELECT count(*) FROM idempotency_keys WHERE error_code = 'CARD_DECLINED' AND operation_id IS NULL";
    assert_eq!(app.database.number(query).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_repeats_its_beginning_and_its_end() {
    let (_gateway, app, scene) = start_with_gateway().await;
    let customer = &scene.cast.customer;
    let product = create_recurring_product(&scene, "BILLING_INTERVAL_MONTH").await;
    let request = json!({ "productId": product, "paymentMethod": "pm_card_visa" });
    let first = customer.keyed(Protocol::Rest, SUBSCRIBE, request.clone(), "one").await.success();
    assert_eq!(first.status, 201, "{first:#?}");
    let cancel = json!({ "subscriptionId": first.id(), "atPeriodEnd": true });
    let ends = customer.keyed(Protocol::Rest, CANCEL, cancel.clone(), "two").await.success();
    repeats(customer, SUBSCRIBE, &request, "one", &first).await;
    let cancel_now = json!({ "subscriptionId": first.id() });
    let response = customer.keyed(Protocol::Rest, CANCEL, cancel_now.clone(), "three").await.success();
    assert_ne!(ends.body, response.body);
    repeats(customer, CANCEL, &cancel, "two", &ends).await;
    repeats(customer, CANCEL, &cancel_now, "three", &response).await;
    let open = "SELECT count(*) FROM idempotency_keys WHERE operation_id IS NOT NULL";
    assert_eq!(app.database.number(open).await, 0, "every response is final");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_one_statement_and_waits_for_no_lock() {
    let database = std::sync::Arc::new(TestDatabase::new().await);
    let proxy = Proxy::new(&database).await;
    let app = TestApp::builder().on(&database).set("DATABASE_URL", proxy.url.clone()).start().await;
    let scene = crate::cases::Scene::new(&app).await;
    let customer = &scene.cast.customer;
    let request = charge_of(&scene).await;
    let first = call_until_final(customer, Protocol::Rest, CHARGE, &request, "one").await.success();
    // The first repetition may look up the token.
    customer.keyed(Protocol::Rest, CHARGE, request.clone(), "one").await.success();
    let blocker = connect(&app.database.url).await;
    blocker
        .batch_execute("BEGIN; SELECT FROM payments FOR UPDATE; SELECT FROM orders FOR UPDATE")
        .await
        .expect("locked");
    blocker.batch_execute("SELECT FROM idempotency_keys FOR UPDATE").await.expect("locked");
    let before = proxy.statements();
    repeats(customer, CHARGE, &request, "one", &first).await;
    assert_eq!(proxy.statements() - before, PROTOCOLS.len() as u64, "one statement for each");
    blocker.batch_execute("ROLLBACK").await.expect("released");
}

/// A plan for an empty table would scan it.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_reads_the_index_of_a_table_that_was_empty() {
    let (_gateway, app, scene) = start_with_gateway().await;
    app.database.sql("VACUUM ANALYZE idempotency_keys").await;
    let request = charge_of(&scene).await;
    let customer = &scene.cast.customer;
    customer.keyed(Protocol::Rest, CHARGE, request.clone(), "one").await.success();
    let scans = |sum: &str| format!("SELECT {sum} FROM pg_stat_user_tables WHERE relname = 'idempotency_keys'");
    // Postgres counts a scan with a delay of a second.
    eventually("the replays are counted", async || {
        customer.keyed(Protocol::Rest, CHARGE, request.clone(), "one").await.success();
        app.database.number(&scans("seq_scan + idx_scan")).await >= 20
    })
    .await;
    let scans = app.database.number(&scans("seq_scan")).await;
    assert!(scans < 10, "{scans} scans of the table");
}
