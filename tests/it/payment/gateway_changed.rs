//! PAYMENT_GATEWAY changes while requests are pending: a request that started at one gateway is never sent to another.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};

use super::{CHARGE, FakeGateway, MAKE_DUE, REFUND, call_until_final, charge_of, pay, process};
use crate::{
    cases::{Scene, order::create_recurring_product},
    support::{Protocol, TestDatabase, euro, eventually, unique},
};

const SUBSCRIBE: &str = "SubscriptionService.CreateSubscription";
const CANCEL: &str = "SubscriptionService.CancelSubscription";

const PENDING: &str =
    "SELECT (SELECT count(*) FROM payments WHERE status = 1) + (SELECT count(*) FROM refunds WHERE status = 1)
    + (SELECT count(*) FROM subscriptions WHERE status = 1 OR pending_cancellation IS NOT NULL)";

/// The number of resources that a server has postponed.
fn postponed(log: &str) -> usize {
    let lines = log.lines().filter(|line| line.contains("the outcome is not known yet"));
    let subjects = lines.filter_map(|line| line.split(r#""subject":""#).nth(1)?.split('"').next());
    subjects.collect::<BTreeSet<_>>().len()
}

async fn subscription(scene: &Scene) -> Value {
    json!({ "productId": create_recurring_product(scene, "BILLING_INTERVAL_MONTH").await, "paymentMethod": "pm_card_visa" })
}

/// `keys_are_old` means that the gateway has forgotten the idempotency keys by then.
async fn pending_moves_nowhere_else(keys_are_old: bool) {
    let (gateway, database) = (FakeGateway::start().await, Arc::new(TestDatabase::new().await));
    let own = [("JOBS_IN_SERVE", "false"), ("ACCESS_TOKEN_TTL", "1d")];
    let first = process(&database, &gateway, &own).await;
    let scene = Scene::at(&first, &database).await;
    let (customer, admin) = (&scene.cast.customer, &scene.cast.admin);
    // While the gateway is reachable: a payment and two subscriptions.
    let payment = pay(&scene).await.id();
    let draft = subscription(&scene).await;
    let subscription = call_until_final(customer, Protocol::Rest, SUBSCRIBE, &draft, &unique()).await.success().id();
    let going = call_until_final(customer, Protocol::Rest, SUBSCRIBE, &draft, &unique()).await.success().id();
    let (charge, later) = (charge_of(&scene).await, charge_of(&scene).await);
    let refund = json!({ "paymentId": payment, "amount": euro("100") });
    let cancel = json!({ "subscriptionId": subscription });
    // Each request is done at the gateway, but its outcome is unknown. Each uses a separate server, because the circuit
    // is per process.
    let requests = [
        (customer, CHARGE, &charge),
        (admin, REFUND, &refund),
        (customer, SUBSCRIBE, &draft),
        (customer, CANCEL, &cancel),
    ];
    for (who, method, request) in requests {
        let server = process(&database, &gateway, &own).await;
        let (at, behaviour) = match method {
            CHARGE => ("POST /v1/payment_intents", "hang_up_after"),
            REFUND => ("POST /v1/refunds", "hang_up_after"),
            CANCEL => ("GET /v1/subscriptions", "hang_up_before"),
            _ => ("POST /v1/subscriptions", "hang_up_after"),
        };
        gateway.behave_at(at, json!(behaviour), 0).await;
        let answer = who.at(&server.endpoint).keyed(Protocol::Rest, method, request.clone(), method).await.success();
        assert_eq!(answer.status, 202, "{method}: {answer:#?}");
        gateway.behave_well().await;
    }
    assert_eq!(database.number(PENDING).await, 4);
    if keys_are_old {
        for table in ["payments", "refunds", "subscriptions"] {
            database.sql(&format!("UPDATE {table} SET attempt_since = attempt_since - interval '2 days'")).await;
        }
    }
    drop(first);

    let sandbox = process(&database, &gateway, &[("PAYMENT_GATEWAY", "sandbox")]).await;
    eventually("every job has run", async || {
        database.sql(MAKE_DUE).await;
        postponed(&sandbox.log()) == 4
    })
    .await;
    let (customer, admin) = (customer.at(&sandbox.endpoint), admin.at(&sandbox.endpoint));
    let again = customer.keyed(Protocol::Grpc, CHARGE, charge.clone(), CHARGE).await;
    assert!(again.status == 202 || again.reason == "IDEMPOTENCY_IN_PROGRESS", "{again:#?}");
    for (who, method, request) in
        [(&admin, REFUND, refund.clone()), (&customer, CANCEL, json!({ "subscriptionId": going }))]
    {
        let response = who.keyed(Protocol::Rest, method, request, &unique()).await.failure("GATEWAY_CHANGED");
        assert!(response.body.to_string().contains("created at the gateway stripe"), "{response:#?}");
    }
    assert_eq!(database.number(PENDING).await, 4, "another gateway settles nothing");
    assert_eq!(database.number("SELECT count(*) FROM sandbox_movements").await, 0);
    assert_eq!(database.number("SELECT count(*) FROM sandbox_subscriptions").await, 0);
    assert_eq!(sandbox.log().matches("other_gateway").count(), 1, "one alert is raised");
    // A payment that starts at the new gateway is not affected.
    call_until_final(&customer, Protocol::Rest, CHARGE, &later, &unique()).await.success();
    assert_eq!(database.number("SELECT count(*) FROM sandbox_movements").await, 1);
    database.sql("UPDATE subscriptions SET next_sync_at = now() WHERE status = 2").await;
    let sweep = "UPDATE scheduled_tasks SET last_started_at = NULL, last_finished_at = NULL WHERE name = 'ask_about_subscriptions'";
    database.sql(sweep).await;
    eventually("the sweep has run", async || {
        database.number("SELECT count(*) FROM subscriptions WHERE next_sync_at <= now()").await == 0
    })
    .await;
    drop(sandbox);

    let _home = process(&database, &gateway, &[]).await;
    eventually("everything is settled at the original gateway", async || {
        database.sql(MAKE_DUE).await;
        database.number(PENDING).await == 0
    })
    .await;
    let at_stripe = "SELECT count(*) FROM ledger_transactions WHERE gateway_id NOT LIKE 'sandbox%'";
    assert_eq!(database.number(at_stripe).await, 6, "two charges, a refund, three first periods");
    assert_eq!(gateway.movements().len(), 6, "each moved once");
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_resources_wait_for_their_own_gateway() {
    pending_moves_nowhere_else(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_resources_with_expired_keys_are_not_looked_up_at_another_gateway() {
    pending_moves_nowhere_else(true).await;
}
