//! Subscriptions start once, end once, and match the gateway's state, even when events are late, duplicated or lost.

mod crashes;
mod customers;
mod duplicates;
mod events;
mod gateway;
mod order;
mod refunds;
mod sandbox;

use serde_json::{Value, json};

use crate::{
    cases::{Scene, order::create_recurring_product, webhook::webhook_request},
    payment::{UNFINISHED_WORK, call_until_final, start_app, start_with_gateway},
    support::{
        Protocol, Response, TestApp, TestDatabase, eventually,
        gateway::{FakeGateway, event},
        unique, webhook,
    },
};

const CREATE: &str = "SubscriptionService.CreateSubscription";
const CANCEL: &str = "SubscriptionService.CancelSubscription";
const GET: &str = "SubscriptionService.GetSubscription";

/// A request to subscribe to 9.00 EUR a month.
async fn subscription_request(scene: &Scene) -> Value {
    json!({ "productId": create_recurring_product(scene, "BILLING_INTERVAL_MONTH").await, "paymentMethod": "pm_card_visa" })
}

/// Creates a subscription that starts.
async fn create_subscription(scene: &Scene) -> Response {
    let request = subscription_request(scene).await;
    call_until_final(&scene.cast.customer, Protocol::Rest, CREATE, &request, &unique()).await.success()
}

fn cancel(id: &str, at_period_end: bool) -> Value {
    json!({ "subscriptionId": id, "atPeriodEnd": at_period_end })
}

/// The status of a subscription in the database, and the end of its period in Unix seconds, 0 before it starts.
async fn stored_state(database: &TestDatabase, id: &str) -> (i64, i64) {
    let column = |column: &str| format!("SELECT {column} FROM subscriptions WHERE id = '{id}'");
    let end = database.number(&column("coalesce(extract(epoch FROM period_end), 0)::bigint")).await;
    (database.number(&column("status")).await, end)
}

/// The same values as the gateway's object implies them.
fn state_at_gateway(object: &Value) -> (i64, i64) {
    let status = match object["status"].as_str() {
        Some("active") => 2,
        Some("past_due") => 3,
        Some("canceled") => 4,
        other => panic!("the gateway says {other:?}"),
    };
    (status, object["current_period_end"].as_i64().expect("a time"))
}

/// Waits until a subscription matches the gateway's object.
async fn agrees(database: &TestDatabase, id: &str, object: &Value) {
    let expected = state_at_gateway(object);
    eventually(&format!("{id} matches the gateway's {object}"), async || stored_state(database, id).await == expected)
        .await;
}

/// Delivers a signed event to an app.
async fn deliver(scene: &Scene, body: &str) {
    let headers = [("stripe-signature", &*webhook::stripe(body, 0))];
    let who = &scene.cast.anonymous;
    who.call_with(Protocol::Rest, "InboundEventService.ReceiveWebhook", webhook_request("stripe", body), &headers)
        .await
        .success();
}

/// Waits until no work is left.
async fn idle(app: &TestApp) {
    eventually("nothing is left to do", async || app.database.number(UNFINISHED_WORK).await == 0).await;
}
