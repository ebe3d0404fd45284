//! Events from the gateway, and events that never arrive.

use std::sync::Arc;

use chrono::TimeDelta;
use mainstay::{
    payments::{Gateway, Lookup, settlement::ops::GatewayRequest as _},
    subscriptions::{id::SubscriptionId, store},
};
use mainstay_kernel::{caller::Visibility, unit_of_work::Work};
use serde_json::json;

use super::{
    CANCEL, CREATE, FakeGateway, agrees, cancel, create_subscription, deliver, event, idle, start_with_gateway,
    stored_state, subscription_request,
};
use crate::{
    cases::Scene,
    payment::{MAKE_DUE, process, start_configured},
    support::{Protocol, TestDatabase, eventually, unique},
};

/// Postpones retries beyond the end of a test.
const WITHOUT_RETRIES: [(&str, &str); 1] = [("PAYMENT_RETRY_WAIT", "1h")];
const UPDATED: &str = "customer.subscription.updated";
const DELETED: &str = "customer.subscription.deleted";

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_is_booked_once_however_many_events_arrive() {
    let (gateway, app, scene) = start_with_gateway().await;
    let id = create_subscription(&scene).await.id();
    let renewed = gateway.change_subscription(&id, "renewed").await;
    let invoice = json!({ "object": "invoice", "id": "in_1", "subscription": renewed["id"] });
    let same = event(UPDATED, &renewed);
    for body in [event("invoice.paid", &invoice), event(UPDATED, &renewed), same.clone(), same.clone(), same] {
        deliver(&scene, &body).await;
    }
    agrees(&app.database, &id, &renewed).await;
    idle(&app).await;
    assert_eq!(gateway.settled_books(&app.database).await, 2, "the first period and the second");
    let version = format!("SELECT version FROM subscriptions WHERE id = '{id}'");
    assert_eq!(app.database.number(&version).await, 3, "it was asked for, it began, it was renewed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unpaid_subscription_is_past_due_until_it_is_paid() {
    let (gateway, app, scene) = start_with_gateway().await;
    let id = create_subscription(&scene).await.id();
    let due = gateway.change_subscription(&id, "unpaid").await;
    let invoice = json!({ "object": "invoice", "subscription": due["id"], "subscription_details": { "metadata": due["metadata"] } });
    deliver(&scene, &event("invoice.payment_failed", &invoice)).await;
    agrees(&app.database, &id, &due).await;
    assert_eq!((stored_state(&app.database, &id).await.0, gateway.settled_books(&app.database).await), (3, 1));
    let paid = gateway.change_subscription(&id, "paid").await;
    deliver(&scene, &event("invoice.paid", &invoice)).await;
    agrees(&app.database, &id, &paid).await;
    assert_eq!((stored_state(&app.database, &id).await.0, gateway.settled_books(&app.database).await), (2, 2));
}

/// Events out of order: an ended subscription stays ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_cancels_and_older_events_do_not_revive() {
    let (gateway, app, scene) = start_with_gateway().await;
    let id = create_subscription(&scene).await.id();
    let renewed = gateway.change_subscription(&id, "renewed").await;
    let deleted = gateway.change_subscription(&id, "deleted").await;
    deliver(&scene, &event(DELETED, &deleted)).await;
    agrees(&app.database, &id, &deleted).await;
    deliver(&scene, &event(UPDATED, &renewed)).await;
    deliver(&scene, &event("customer.subscription.created", &renewed)).await;
    idle(&app).await;
    agrees(&app.database, &id, &deleted).await;
    assert_eq!(gateway.settled_books(&app.database).await, 2, "what was paid before is booked");
    scene
        .cast
        .customer
        .call(Protocol::Grpc, CANCEL, cancel(&id, false))
        .await
        .failure("SUBSCRIPTION_ALREADY_CANCELLED");
    let revived =
        format!("UPDATE subscriptions SET status = 2, cancelled_at = NULL, next_sync_at = now() WHERE id = '{id}'");
    let client = crate::support::database::connect(&app.database.url).await;
    assert!(client.batch_execute(&revived).await.is_err(), "nor does the database");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_cancellation_takes_effect_at_period_end() {
    let (gateway, app, scene) = start_with_gateway().await;
    let id = create_subscription(&scene).await.id();
    scene.cast.customer.rest(CANCEL, cancel(&id, true)).await.success();
    let renewal = gateway.change_subscription(&id, "renewed").await;
    assert_eq!(renewal["status"], "canceled", "its period is over");
    deliver(&scene, &event(DELETED, &renewal)).await;
    agrees(&app.database, &id, &renewal).await;
    assert_eq!(gateway.settled_books(&app.database).await, 1);
}

/// Without any webhook event, the scheduled task queries the gateway: within a day, or soon after the end of the
/// period.
#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_task_makes_up_for_a_lost_event() {
    let (gateway, app, scene) = start_with_gateway().await;
    let (deleted, renewed) = (create_subscription(&scene).await.id(), create_subscription(&scene).await.id());
    let deletion = gateway.change_subscription(&deleted, "deleted").await;
    app.run_task("ask_about_subscriptions").await.expect("done");
    idle(&app).await;
    assert_eq!(stored_state(&app.database, &deleted).await.0, 2, "nothing is due yet");
    app.app.clock.advance(TimeDelta::hours(24) + TimeDelta::minutes(1));
    app.run_task("ask_about_subscriptions").await.expect("done");
    agrees(&app.database, &deleted, &deletion).await;

    let next = gateway.change_subscription(&renewed, "renewed").await;
    app.app.clock.advance(TimeDelta::days(30));
    app.run_task("ask_about_subscriptions").await.expect("done");
    agrees(&app.database, &renewed, &next).await;
    idle(&app).await;
    assert_eq!(gateway.settled_books(&app.database).await, 3);
}

/// A webhook event may report a subscription before the outcome of its request is known; it settles the subscription at
/// once.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_settles_a_pending_subscription() {
    let (gateway, app, scene) = start_configured(&WITHOUT_RETRIES).await;
    let request = super::subscription_request(&scene).await;
    gateway.behave_at("POST /v1/subscriptions", json!("hang_up_after"), 0).await;
    let response = scene.cast.customer.keyed(Protocol::Rest, super::CREATE, request, "one").await.success();
    assert_eq!(response.status, 202, "{response:#?}");
    gateway.behave_well().await;
    let object = gateway.objects("subscription").pop().expect("it was made");
    deliver(&scene, &event("customer.subscription.created", &object)).await;
    agrees(&app.database, &response.id(), &object).await;
    assert_eq!(gateway.settled_books(&app.database).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_subscriptions_are_ignored() {
    let (_gateway, app, scene) = start_with_gateway().await;
    create_subscription(&scene).await;
    for object in [
        json!({ "object": "subscription", "id": "sub_of_others", "metadata": {} }),
        json!({ "object": "subscription", "id": "sub_of_others", "metadata": { "mainstay_subscription": crate::cases::unknown_id() } }),
        json!({ "object": "invoice", "id": "in_of_others", "subscription": null }),
    ] {
        deliver(&scene, &event(UPDATED, &object)).await;
    }
    idle(&app).await;
    assert_eq!(app.database.number("SELECT count(*) FROM inbound_events WHERE state = 2").await, 3);
    assert_eq!(app.database.number("SELECT last_query FROM subscriptions").await, 1, "the gateway was not queried");
}

/// A webhook endpoint is notified of each change once.
#[tokio::test(flavor = "multi_thread")]
async fn endpoints_are_notified_of_changes() {
    let (gateway, app, scene) = start_with_gateway().await;
    let types = ["subscriptions.subscription.updated", "subscriptions.subscription.cancelled"];
    let endpoint =
        json!({ "url": "https://hooks.example.invalid/", "eventTypes": types, "accountId": scene.account() });
    scene.cast.admin.rest("WebhookEndpointService.CreateWebhookEndpoint", endpoint).await.success();
    let id = create_subscription(&scene).await.id();
    let renewed = gateway.change_subscription(&id, "renewed").await;
    deliver(&scene, &event(UPDATED, &renewed)).await;
    agrees(&app.database, &id, &renewed).await;
    scene.cast.customer.rest(CANCEL, cancel(&id, false)).await.success();
    let events = app
        .database
        .sql("SELECT kind, payload::json -> 'data' ->> 'version' FROM webhook_deliveries ORDER BY id")
        .await;
    let row = |kind: &str, version: &str| vec![Some(kind.to_owned()), Some(version.to_owned())];
    let expected = [row(types[0], "2"), row(types[0], "3"), row(types[1], "5")];
    assert_eq!(events, expected, "started, renewed, cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_is_consistent_with_subscriptions() {
    let (gateway, app, scene) = start_with_gateway().await;
    crate::cases::payment::pay(&scene).await;
    let id = create_subscription(&scene).await.id();
    let report = mainstay::payments::ledger::ops::check(&app.app).await.expect("checked");
    assert_eq!((report.booked, report.moved, report.unsettled, &report.faults), (2, 2, 0, &Vec::new()));
    // First paid but not reported by an event, then found, then booked.
    gateway.change_subscription(&id, "renewed").await;
    let report = mainstay::payments::ledger::ops::check(&app.app).await.expect("checked");
    assert_eq!((report.booked, report.moved, report.unsettled, &report.faults), (2, 3, 1, &Vec::new()));
    let deleted = gateway.change_subscription(&id, "deleted").await;
    deliver(&scene, &event(DELETED, &deleted)).await;
    agrees(&app.database, &id, &deleted).await;
    let report = mainstay::payments::ledger::ops::check(&app.app).await.expect("checked");
    assert_eq!((report.booked, report.moved, report.unsettled, &report.faults), (3, 3, 0, &Vec::new()));
}

/// A second subscription at the gateway for the same resource bills every month: an alert is raised, and the ledger
/// check names the unbooked invoices.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_reports_a_second_subscription_at_the_gateway() {
    let (gateway, app, scene) = start_with_gateway().await;
    let id = create_subscription(&scene).await.id();
    let again = gateway.change_subscription(&id, "again").await;
    let report = mainstay::payments::ledger::ops::check(&app.app).await.expect("checked");
    assert_eq!((report.booked, report.moved, report.unsettled, report.faults.len()), (1, 2, 0, 1), "{report:#?}");
    assert!(report.faults[0].contains(again["id"].as_str().expect("an id")), "{report:#?}");
    // The subscription is long overdue for a query and its latest period is not booked: the app has stopped querying
    // the gateway.
    gateway.change_subscription(&id, "renewed").await;
    app.database.sql("UPDATE subscriptions SET next_sync_at = now() - interval '1 hour'").await;
    let report = mainstay::payments::ledger::ops::check(&app.app).await.expect("checked");
    assert_eq!((report.unsettled, report.faults.len()), (0, 2), "{report:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unexpected_live_subscription_raises_an_alert() {
    let (gateway, database) = (FakeGateway::start().await, Arc::new(TestDatabase::new().await));
    let server = process(&database, &gateway, &[]).await;
    let scene = Scene::at(&server, &database).await;
    let ours = create_subscription(&scene).await;
    let mut declined = subscription_request(&scene).await;
    declined["paymentMethod"] = "pm_card_visa_chargeDeclined".into();
    scene.cast.customer.keyed(Protocol::Rest, CREATE, declined, &unique()).await.failure("CARD_DECLINED");
    let failed = database.sql("SELECT id FROM subscriptions WHERE status = 5").await[0][0].clone().expect("an id");
    let calls = || server.log().matches("subscribed_twice").count();
    let object = |gateway_id: &str, id: &str| json!({ "object": "subscription", "id": gateway_id, "status": "active", "metadata": { "mainstay_subscription": id } });
    let wait_for = async |count: i64| {
        let query = "SELECT count(*) FROM inbound_events WHERE state = 2";
        eventually("the event is processed", async || database.number(query).await == count).await;
    };
    // The known subscription, and another one that has ended.
    deliver(&scene, &event(UPDATED, &object(&ours.text("/data/gatewayId"), &ours.id()))).await;
    deliver(&scene, &event(DELETED, &object("sub_other", &ours.id()))).await;
    wait_for(2).await;
    assert_eq!(calls(), 0, "{}", server.log());
    deliver(&scene, &event(UPDATED, &object("sub_other", &ours.id()))).await;
    wait_for(3).await;
    eventually("an alert is raised", async || calls() == 1).await;
    deliver(&scene, &event(UPDATED, &object("sub_lost", &failed))).await;
    wait_for(4).await;
    eventually("an alert is raised", async || calls() == 2).await;
}

/// An answer to the request comes so late that the subscription has begun, and its cancellation been requested,
/// meanwhile: the cancellation's job stays. If that job is lost, the next query makes up for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_leaves_a_later_cancellation_its_job() {
    let (gateway, app, scene) = start_configured(&WITHOUT_RETRIES).await;
    let response = create_subscription(&scene).await;
    let id = SubscriptionId(response.id().parse().expect("an id"));
    let database = &app.app.database;
    let read = async move |work: &mut Work| store::lock(work.connection().await?, Visibility::All, id).await;
    let late = database.transaction(read).await.expect("stored");
    let gateway_id = late.state.gateway_id().expect("it began").to_owned();
    let Lookup::Done(snapshot) = app.app.part::<Arc<dyn Gateway>>().subscription(&gateway_id).await else {
        panic!("the gateway knows it")
    };
    gateway.behave_at("DELETE /v1/subscriptions", json!({ "refuse": 503 }), 0).await;
    let cancelled = scene.cast.customer.rest(CANCEL, cancel(&response.id(), false)).await.success();
    assert_eq!(cancelled.status, 202, "{cancelled:#?}");
    let job = "SELECT count(*) FROM jobs WHERE kind = 'settle_subscription'";
    assert_eq!(app.database.number(job).await, 1);
    let answer = async move |work: &mut Work| {
        let current = late.lock(work.connection().await?).await?;
        late.settle(work, current, Ok(snapshot)).await.map(drop)
    };
    database.transaction(answer).await.expect("nothing is settled");
    assert_eq!(app.database.number(job).await, 1);

    app.database.sql("DELETE FROM jobs").await;
    gateway.behave_well().await;
    app.app.clock.advance(TimeDelta::hours(24) + TimeDelta::minutes(1));
    app.run_task("ask_about_subscriptions").await.expect("done");
    // Its key is a day old by now, so the subscription is looked up first.
    eventually("the cancellation is carried out", async || {
        app.app.clock.advance(TimeDelta::hours(2));
        app.database.sql(MAKE_DUE).await;
        stored_state(&app.database, &response.id()).await.0 == 4
    })
    .await;
    assert_eq!(gateway.settled_books(&app.database).await, 1);
}

/// An outage of the gateway neither uses up the attempts of a query nor delays it for hours.
#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_repeated_soon_after_an_outage_of_the_gateway() {
    const REPEATED: &str = "kind = 'sync_subscription' AND (payload ->> 'repetitions')::int >= 8";

    let (gateway, app, scene) = start_with_gateway().await;
    let id = create_subscription(&scene).await.id();
    let renewed = gateway.change_subscription(&id, "renewed").await;
    gateway.behave_at("GET /v1/subscriptions", json!({ "refuse": 503 }), 0).await;
    deliver(&scene, &event(UPDATED, &renewed)).await;
    eventually("eight queries have failed", async || {
        app.database.sql(MAKE_DUE).await;
        app.database.number(&format!("SELECT count(*) FROM jobs WHERE {REPEATED}")).await == 1
    })
    .await;
    let late = format!("SELECT count(*) FROM jobs WHERE {REPEATED} AND due_at > now() + interval '5 minutes'");
    assert_eq!(app.database.number(&late).await, 0);
    gateway.behave_well().await;
    eventually("the query is answered", async || {
        app.database.sql(MAKE_DUE).await;
        app.database.number("SELECT count(*) FROM ledger_transactions WHERE kind = 3").await == 2
    })
    .await;
}
