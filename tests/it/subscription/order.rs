//! The order in which answers arrive does not matter.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use mainstay::subscriptions::{
    id::SubscriptionId,
    job::SyncSubscription,
    ops::{self as subscription, Entry},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use serde_json::json;

use super::{
    FakeGateway, agrees, create_subscription, deliver, event, idle, start_with_gateway, state_at_gateway, stored_state,
};
use crate::{
    cases::Scene,
    support::{TestApp, eventually},
};

/// Starts an app that runs no jobs and has a long gateway timeout.
async fn patient(gateway: &FakeGateway) -> (TestApp, Scene) {
    let (app, scene) = Scene::start_with(
        TestApp::builder()
            .set_all(gateway.variables())
            .set("GATEWAY_TIMEOUT", "30s")
            .set("PAYMENT_SETTLE_TIMEOUT", "40s"),
    )
    .await;
    (app, scene)
}

/// An answer is delayed while a later and more recent one overtakes it.
#[tokio::test(flavor = "multi_thread")]
async fn an_overtaken_answer_changes_nothing() {
    let gateway = FakeGateway::start().await;
    let (app, scene) = patient(&gateway).await;
    let id = create_subscription(&scene).await.id();
    let subscription = SubscriptionId::parse(&id).expect("an id");
    let last_query = app.database.number("SELECT last_query FROM subscriptions").await;
    gateway.behave_at("GET /v1/subscriptions", json!({ "delay_after": 3000 }), 1).await;
    let server = app.app.clone();
    let held_back =
        tokio::spawn(
            async move { subscription::sync(&server, SyncSubscription::new(subscription), Entry::Added).await },
        );
    eventually("the first query is under way", async || gateway.has_used_up_behaviors().await).await;
    let renewed = gateway.change_subscription(&id, "renewed").await;
    subscription::sync(&app.app, SyncSubscription::new(subscription), Entry::Added).await.expect("an answer");
    assert_eq!(stored_state(&app.database, &id).await, state_at_gateway(&renewed));
    assert!(!held_back.is_finished(), "the first answer is still pending");
    held_back.await.expect("no panic").expect("an answer");
    assert_eq!(stored_state(&app.database, &id).await, state_at_gateway(&renewed), "the delayed answer is outdated");
    let numbers = app.database.sql("SELECT last_query, last_answer FROM subscriptions").await;
    assert_eq!(numbers[0], vec![Some((last_query + 2).to_string()); 2]);
    // The delayed answer differed, so the app queries the gateway once more.
    let waiting = "SELECT count(*) FROM jobs WHERE key LIKE 'sync_subscription:%'";
    assert_eq!(app.database.number(waiting).await, 1);
    assert_eq!(gateway.settled_books(&app.database).await, 2);
}

/// A cancellation is confirmed even if a query that saw the older state overtakes its answer.
#[tokio::test(flavor = "multi_thread")]
async fn an_overtaken_cancellation_is_confirmed() {
    let (gateway, app, scene) = start_with_gateway().await;
    let id = create_subscription(&scene).await.id();
    let subscription = SubscriptionId::parse(&id).expect("an id");
    gateway.behave_at("DELETE", json!({ "delay_before": 700 }), 1).await;
    let cancel = scene.cast.customer.call(crate::support::Protocol::Rest, super::CANCEL, super::cancel(&id, false));
    let (answer, ()) = tokio::join!(cancel, async {
        eventually("the cancellation is under way", async || gateway.has_used_up_behaviors().await).await;
        // The query sees the previous state, although it starts later.
        subscription::sync(&app.app, SyncSubscription::new(subscription), Entry::Added).await.expect("an answer");
    });
    answer.success();
    let cancelled = gateway.objects("subscription").pop().expect("one");
    agrees(&app.database, &id, &cancelled).await;
    assert_eq!(gateway.settled_books(&app.database).await, 1);
}

/// Events that are duplicated, late and shuffled, while the gateway answers slowly; for several seeds.
#[tokio::test(flavor = "multi_thread")]
async fn shuffled_events_lead_to_the_right_state() {
    let (gateway, app, scene) = start_with_gateway().await;
    let app = Arc::new(app);
    for seed in 0..6 {
        println!("seed {seed}");
        let mut dice = StdRng::seed_from_u64(20_261_121 + seed);
        let id = create_subscription(&scene).await.id();
        let mut bodies = Vec::new();
        let mut last = json!(null);
        for round in 0..dice.random_range(3..8) {
            let change = match dice.random_range(0..4) {
                0 if round > 0 && last["status"] == "past_due" => "paid",
                0 | 1 => "unpaid",
                _ => "renewed",
            };
            last = gateway.change_subscription(&id, change).await;
            let kinds = [("customer.subscription.updated", 2), ("invoice.paid", 1), ("invoice.payment_failed", 1)];
            for (kind, weight) in kinds {
                let object = match kind {
                    "customer.subscription.updated" => last.clone(),
                    _ => json!({ "object": "invoice", "subscription": last["id"] }),
                };
                let body = event(kind, &object);
                let copies = weight + dice.random_range(0..2);
                bodies.extend(std::iter::repeat_n(body, copies));
            }
            // Some events arrive while the gateway is still answering the previous query.
            if dice.random_bool(0.5) {
                let slow = json!({ "delay_after": dice.random_range(50..600) });
                gateway.behave_at("GET /v1/subscriptions", slow, dice.random_range(1..3)).await;
                bodies.shuffle(&mut dice);
                let some: Vec<_> = bodies.iter().take(dice.random_range(0..4)).cloned().collect();
                join_all(some.iter().map(|body| deliver(&scene, body))).await;
                tokio::time::sleep(Duration::from_millis(dice.random_range(0..200))).await;
            }
        }
        if dice.random_bool(0.4) {
            last = gateway.change_subscription(&id, "deleted").await;
            bodies.push(event("customer.subscription.deleted", &last));
        }
        bodies.shuffle(&mut dice);
        join_all(bodies.iter().map(|body| deliver(&scene, body))).await;
        idle(&app).await;
        assert_eq!(stored_state(&app.database, &id).await, state_at_gateway(&last), "seed {seed}");
        gateway.behave_well().await;
        gateway.settled_books(&app.database).await;
    }
}
