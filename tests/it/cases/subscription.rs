//! Subscriptions at the built-in sandbox gateway.

use serde_json::{Value, json};

use super::{
    Call, Case,
    Expected::{Reason, Status},
    Scene, call, cases,
    order::{create_recurring_product, product},
    unknown_id,
};
use crate::support::{Protocol, Response, unique};

const CREATE: &str = "SubscriptionService.CreateSubscription";
const CANCEL: &str = "SubscriptionService.CancelSubscription";

/// A request by the customer to subscribe to a new product of 9.00 EUR a month with a card.
async fn subscribe(scene: &Scene, card: &str) -> Call {
    let product = create_recurring_product(scene, "BILLING_INTERVAL_MONTH").await;
    call(&scene.cast.customer, json!({ "productId": product, "accountId": scene.account(), "paymentMethod": card }))
        .header("idempotency-key", unique())
}

/// Creates a subscription of 9.00 EUR a month that starts.
pub(crate) async fn create_subscription(scene: &Scene) -> Response {
    subscribe(scene, "pm_card_visa").await.send(Protocol::Rest, CREATE).await.success()
}

fn cancel(id: &str, at_period_end: bool) -> Value {
    json!({ "subscriptionId": id, "atPeriodEnd": at_period_end })
}

async fn cancel_subscription(scene: &Scene, at_period_end: bool) -> String {
    let id = create_subscription(scene).await.id();
    scene.cast.customer.rest(CANCEL, cancel(&id, at_period_end)).await.success();
    id
}

async fn create_pending_subscription(scene: &Scene) -> String {
    subscribe(scene, "pm_sandbox_error").await.send(Protocol::Rest, CREATE).await.success().id()
}

async fn fail_subscription(scene: &Scene) -> String {
    subscribe(scene, "pm_card_visa_chargeDeclined").await.send(Protocol::Rest, CREATE).await.failure("CARD_DECLINED");
    let listed = json!({ "statuses": ["SUBSCRIPTION_STATUS_FAILED"] });
    scene.cast.customer.rest("SubscriptionService.ListSubscriptions", listed).await.success().text("/data/0/id")
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = creates();
    cases.extend(cancels());
    cases.extend(reads());
    cases
}

fn creates() -> Vec<Case> {
    cases! {
        "SubscriptionService.CreateSubscription" {
            "a good card" => Status(201), |scene| subscribe(&scene, "pm_card_visa").await;
            "the caller's account by default, billed yearly" => Status(201), |scene| {
                let product = create_recurring_product(&scene, "BILLING_INTERVAL_YEAR").await;
                call(&scene.cast.customer, json!({ "productId": product, "paymentMethod": "pm_card_mastercard" }))
                    .header("idempotency-key", unique())
            };
            "by an agent" => Status(201), |scene| Call { who: scene.cast.agent.clone(), ..subscribe(&scene, "pm_card_visa").await };
            "by an agent who names no account" => Reason("VALIDATION_FAILED"), |scene| {
                let product = create_recurring_product(&scene, "BILLING_INTERVAL_MONTH").await;
                call(&scene.cast.agent, json!({ "productId": product, "paymentMethod": "pm_card_visa" }))
                    .header("idempotency-key", unique())
            };
            "an unknown account" => Reason("NOT_FOUND"), |scene| {
                let product = create_recurring_product(&scene, "BILLING_INTERVAL_MONTH").await;
                call(&scene.cast.agent, json!({ "productId": product, "accountId": unknown_id(), "paymentMethod": "pm_card_visa" }))
                    .header("idempotency-key", unique())
            };
            "the answer is lost" => Status(202), |scene| subscribe(&scene, "pm_sandbox_error").await;
            "a declined card" => Reason("CARD_DECLINED"), |scene| subscribe(&scene, "pm_card_visa_chargeDeclined").await;
            "an unknown card" => Reason("PAYMENT_FAILED"), |scene| subscribe(&scene, "pm_nonsense").await;
            "the same key again" => Status(201), |scene| {
                let call = subscribe(&scene, "pm_card_visa").await;
                call.send(Protocol::Grpc, CREATE).await.success();
                call
            };
            "the same key again, declined" => Reason("CARD_DECLINED"), |scene| {
                let call = subscribe(&scene, "pm_card_visa_chargeDeclined").await;
                call.send(Protocol::Rest, CREATE).await.failure("CARD_DECLINED");
                call
            };
            "the same key for another product" => Reason("IDEMPOTENCY_KEY_REUSED"), |scene| {
                let (first, mut second) = (subscribe(&scene, "pm_card_visa").await, subscribe(&scene, "pm_card_visa").await);
                first.send(Protocol::Rest, CREATE).await.success();
                second.headers = first.headers;
                second
            };
            "without a key" => Reason("IDEMPOTENCY_KEY_MISSING"), |scene| {
                Call { headers: Vec::new(), ..subscribe(&scene, "pm_card_visa").await }
            };
            "a product without a billing interval" => Reason("PRODUCT_SOLD_OTHERWISE"), |scene| {
                let request = json!({ "productId": product(&scene, 900, "EUR").await, "paymentMethod": "pm_card_visa" });
                call(&scene.cast.customer, request).header("idempotency-key", unique())
            };
            "an archived product" => Reason("PRODUCT_UNAVAILABLE"), |scene| {
                let call = subscribe(&scene, "pm_card_visa").await;
                let archive = json!({ "productId": call.request["productId"], "product": { "archived": true } });
                scene.cast.admin.rest("ProductService.UpdateProduct", archive).await.success();
                call
            };
            "an unknown product" => Reason("PRODUCT_UNAVAILABLE"), |scene| {
                call(&scene.cast.customer, json!({ "productId": unknown_id(), "paymentMethod": "pm_card_visa" }))
                    .header("idempotency-key", unique())
            };
            "another account" => Reason("NOT_FOUND"), |scene| {
                Call { who: scene.cast.stranger.clone(), ..subscribe(&scene, "pm_card_visa").await }
            };
            "a card number" => Reason("VALIDATION_FAILED"), |scene| subscribe(&scene, "4242424242424242").await;
            "no product and no card" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.customer, json!({ "productId": "17" })).header("idempotency-key", "one")
            };
        }
    }
}

fn cancels() -> Vec<Case> {
    cases! {
        "SubscriptionService.CancelSubscription" {
            "at once" => Status(200), |scene| {
                let subscription = create_subscription(&scene).await;
                let tag = format!("\"{}\"", subscription.text("/data/version"));
                call(&scene.cast.customer, cancel(&subscription.id(), false)).header("if-match", tag)
            };
            "with the period" => Status(200), |scene| call(&scene.cast.agent, cancel(&create_subscription(&scene).await.id(), true));
            "at once after a scheduled cancellation" => Status(200), |scene| call(&scene.cast.customer, cancel(&cancel_subscription(&scene, true).await, false));
            "the same key again" => Status(200), |scene| {
                let call = call(&scene.cast.customer, cancel(&create_subscription(&scene).await.id(), false)).header("idempotency-key", "one");
                call.send(Protocol::Grpc, CANCEL).await.success();
                call
            };
            "a cancelled one" => Reason("SUBSCRIPTION_ALREADY_CANCELLED"), |scene| call(&scene.cast.customer, cancel(&cancel_subscription(&scene, false).await, true));
            "with the period, twice" => Reason("SUBSCRIPTION_ALREADY_CANCELLED"), |scene| {
                call(&scene.cast.customer, cancel(&cancel_subscription(&scene, true).await, true))
            };
            "at once while the gateway has not confirmed one with the period" => Reason("CONFLICT"), |scene| {
                let id = create_subscription(&scene).await.id();
                let pending = "pending_cancellation = 2, leased_until = now() + interval '1 hour'";
                scene.database.sql(&format!("UPDATE subscriptions SET {pending} WHERE id = '{id}'")).await;
                call(&scene.cast.customer, cancel(&id, false))
            };
            "one whose outcome is unknown" => Reason("SUBSCRIPTION_PENDING"), |scene| {
                call(&scene.cast.customer, cancel(&create_pending_subscription(&scene).await, false))
            };
            "a failed one" => Reason("SUBSCRIPTION_NOT_STARTED"), |scene| call(&scene.cast.customer, cancel(&fail_subscription(&scene).await, false));
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| {
                call(&scene.cast.customer, cancel(&create_subscription(&scene).await.id(), false)).header("if-match", "\"1\"")
            };
            "another account's" => Reason("NOT_FOUND"), |scene| call(&scene.cast.stranger, cancel(&create_subscription(&scene).await.id(), false));
        }
    }
}

fn reads() -> Vec<Case> {
    cases! {
        "SubscriptionService.GetSubscription" {
            "the caller's own" => Status(200), |scene| call(&scene.cast.customer, json!({ "subscriptionId": create_subscription(&scene).await.id() }));
            "a cancelled one" => Status(200), |scene| call(&scene.cast.customer, json!({ "subscriptionId": cancel_subscription(&scene, false).await }));
            "some of its fields" => Status(200), |scene| {
                call(&scene.cast.agent, json!({ "subscriptionId": create_subscription(&scene).await.id(), "readMask": "status,price,periodEndTime" }))
            };
            "another account's" => Reason("NOT_FOUND"), |scene| call(&scene.cast.stranger, json!({ "subscriptionId": create_subscription(&scene).await.id() }));
        }
        "SubscriptionService.ListSubscriptions" {
            "an account's" => Status(200), |scene| {
                create_subscription(&scene).await;
                fail_subscription(&scene).await;
                cancel_subscription(&scene, true).await;
                call(&scene.cast.customer, json!({ "accountId": scene.account() }))
            };
            "some fields of an account's, by page" => Status(200), |scene| {
                create_subscription(&scene).await;
                create_subscription(&scene).await;
                cancel_subscription(&scene, false).await;
                let first = json!({ "accountId": scene.account(), "statuses": ["SUBSCRIPTION_STATUS_ACTIVE"], "pageSize": 1 });
                let page = scene.cast.agent.rest("SubscriptionService.ListSubscriptions", first.clone()).await;
                let mut second = first;
                second["pageToken"] = page.text("/meta/nextPageToken").into();
                call(&scene.cast.agent, second)
            };
            "an invalid token" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.customer, json!({ "pageToken": "AAAA" }));
        }
    }
}
