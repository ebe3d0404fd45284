//! Subscriptions at the built-in sandbox gateway.

use serde_json::{Value, json};

use super::{
    Ask, Case,
    Ends::{For, With},
    Scene, ask, cases, nothing,
    order::product,
};
use crate::support::{Answer, Door, unique};

const CREATE: &str = "SubscriptionService.CreateSubscription";
const CANCEL: &str = "SubscriptionService.CancelSubscription";

/// Creates a product of 9.00 EUR billed each month or year.
pub(crate) async fn recurring(scene: &Scene, interval: &str) -> String {
    let request = json!({
        "name": "A box", "priceMinor": "900", "currencyCode": "EUR", "billingInterval": interval,
    });
    scene.cast.admin.call(Door::Rest, "ProductService.CreateProduct", request).await.good().id()
}

/// A request by the customer to subscribe to a new product of 9.00 EUR a month with a card.
async fn subscribe(scene: &Scene, card: &str) -> Ask {
    let product = recurring(scene, "BILLING_INTERVAL_MONTH").await;
    ask(&scene.cast.customer, json!({ "productId": product, "accountId": scene.account(), "paymentMethod": card }))
        .header("idempotency-key", unique())
}

/// Creates a subscription of 9.00 EUR a month that starts.
pub(crate) async fn begun(scene: &Scene) -> Answer {
    subscribe(scene, "pm_card_visa").await.send(Door::Rest, CREATE).await.good()
}

fn cancel(id: &str, at_period_end: bool) -> Value {
    json!({ "subscriptionId": id, "atPeriodEnd": at_period_end })
}

async fn cancelled(scene: &Scene, at_period_end: bool) -> String {
    let id = begun(scene).await.id();
    scene.cast.customer.call(Door::Rest, CANCEL, cancel(&id, at_period_end)).await.good();
    id
}

async fn pending(scene: &Scene) -> String {
    subscribe(scene, "pm_sandbox_error").await.send(Door::Rest, CREATE).await.good().id()
}

async fn failed(scene: &Scene) -> String {
    subscribe(scene, "pm_card_visa_chargeDeclined").await.send(Door::Rest, CREATE).await.refused("CARD_DECLINED");
    let listed = json!({ "statuses": ["SUBSCRIPTION_STATUS_FAILED"] });
    scene
        .cast
        .customer
        .call(Door::Rest, "SubscriptionService.ListSubscriptions", listed)
        .await
        .good()
        .text("/data/0/id")
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
            "a good card" => With(201), |scene| subscribe(&scene, "pm_card_visa").await;
            "the caller's account by default, billed yearly" => With(201), |scene| {
                let product = recurring(&scene, "BILLING_INTERVAL_YEAR").await;
                ask(&scene.cast.customer, json!({ "productId": product, "paymentMethod": "pm_card_mastercard" }))
                    .header("idempotency-key", unique())
            };
            "by an agent" => With(201), |scene| Ask { who: scene.cast.agent.clone(), ..subscribe(&scene, "pm_card_visa").await };
            "by an agent who names no account" => For("VALIDATION_FAILED"), |scene| {
                let product = recurring(&scene, "BILLING_INTERVAL_MONTH").await;
                ask(&scene.cast.agent, json!({ "productId": product, "paymentMethod": "pm_card_visa" }))
                    .header("idempotency-key", unique())
            };
            "an unknown account" => For("NOT_FOUND"), |scene| {
                let product = recurring(&scene, "BILLING_INTERVAL_MONTH").await;
                ask(&scene.cast.agent, json!({ "productId": product, "accountId": nothing(), "paymentMethod": "pm_card_visa" }))
                    .header("idempotency-key", unique())
            };
            "the answer is lost" => With(202), |scene| subscribe(&scene, "pm_sandbox_error").await;
            "a declined card" => For("CARD_DECLINED"), |scene| subscribe(&scene, "pm_card_visa_chargeDeclined").await;
            "an unknown card" => For("PAYMENT_FAILED"), |scene| subscribe(&scene, "pm_nonsense").await;
            "the same key again" => With(201), |scene| {
                let asked = subscribe(&scene, "pm_card_visa").await;
                asked.send(Door::Grpc, CREATE).await.good();
                asked
            };
            "the same key again, declined" => For("CARD_DECLINED"), |scene| {
                let asked = subscribe(&scene, "pm_card_visa_chargeDeclined").await;
                asked.send(Door::Rest, CREATE).await.refused("CARD_DECLINED");
                asked
            };
            "the same key for another product" => For("IDEMPOTENCY_KEY_REUSED"), |scene| {
                let (first, mut second) = (subscribe(&scene, "pm_card_visa").await, subscribe(&scene, "pm_card_visa").await);
                first.send(Door::Rest, CREATE).await.good();
                second.headers = first.headers;
                second
            };
            "without a key" => For("IDEMPOTENCY_KEY_MISSING"), |scene| {
                Ask { headers: Vec::new(), ..subscribe(&scene, "pm_card_visa").await }
            };
            "a product without a billing interval" => For("BUSINESS_RULE_VIOLATION"), |scene| {
                let request = json!({ "productId": product(&scene, 900, "EUR").await, "paymentMethod": "pm_card_visa" });
                ask(&scene.cast.customer, request).header("idempotency-key", unique())
            };
            "an archived product" => For("BUSINESS_RULE_VIOLATION"), |scene| {
                let asked = subscribe(&scene, "pm_card_visa").await;
                let archive = json!({ "productId": asked.request["productId"], "product": { "archived": true } });
                scene.cast.admin.call(Door::Rest, "ProductService.UpdateProduct", archive).await.good();
                asked
            };
            "an unknown product" => For("BUSINESS_RULE_VIOLATION"), |scene| {
                ask(&scene.cast.customer, json!({ "productId": nothing(), "paymentMethod": "pm_card_visa" }))
                    .header("idempotency-key", unique())
            };
            "another account" => For("NOT_FOUND"), |scene| {
                Ask { who: scene.cast.stranger.clone(), ..subscribe(&scene, "pm_card_visa").await }
            };
            "a card number" => For("VALIDATION_FAILED"), |scene| subscribe(&scene, "4242424242424242").await;
            "no product and no card" => For("VALIDATION_FAILED"), |scene| {
                ask(&scene.cast.customer, json!({ "productId": "17" })).header("idempotency-key", "one")
            };
        }
    }
}

fn cancels() -> Vec<Case> {
    cases! {
        "SubscriptionService.CancelSubscription" {
            "at once" => With(200), |scene| {
                let begun = begun(&scene).await;
                let tag = format!("\"{}\"", begun.text("/data/version"));
                ask(&scene.cast.customer, cancel(&begun.id(), false)).header("if-match", tag)
            };
            "with the period" => With(200), |scene| ask(&scene.cast.agent, cancel(&begun(&scene).await.id(), true));
            "at once after a scheduled cancellation" => With(200), |scene| ask(&scene.cast.customer, cancel(&cancelled(&scene, true).await, false));
            "the same key again" => With(200), |scene| {
                let asked = ask(&scene.cast.customer, cancel(&begun(&scene).await.id(), false)).header("idempotency-key", "one");
                asked.send(Door::Grpc, CANCEL).await.good();
                asked
            };
            "a cancelled one" => For("BUSINESS_RULE_VIOLATION"), |scene| ask(&scene.cast.customer, cancel(&cancelled(&scene, false).await, true));
            "with the period, twice" => For("BUSINESS_RULE_VIOLATION"), |scene| {
                ask(&scene.cast.customer, cancel(&cancelled(&scene, true).await, true))
            };
            "one whose outcome is unknown" => For("BUSINESS_RULE_VIOLATION"), |scene| {
                ask(&scene.cast.customer, cancel(&pending(&scene).await, false))
            };
            "a failed one" => For("BUSINESS_RULE_VIOLATION"), |scene| ask(&scene.cast.customer, cancel(&failed(&scene).await, false));
            "with an old tag" => For("ETAG_MISMATCH"), |scene| {
                ask(&scene.cast.customer, cancel(&begun(&scene).await.id(), false)).header("if-match", "\"1\"")
            };
            "another account's" => For("NOT_FOUND"), |scene| ask(&scene.cast.stranger, cancel(&begun(&scene).await.id(), false));
        }
    }
}

fn reads() -> Vec<Case> {
    cases! {
        "SubscriptionService.GetSubscription" {
            "the caller's own" => With(200), |scene| ask(&scene.cast.customer, json!({ "subscriptionId": begun(&scene).await.id() }));
            "a cancelled one" => With(200), |scene| ask(&scene.cast.customer, json!({ "subscriptionId": cancelled(&scene, false).await }));
            "some of its fields" => With(200), |scene| {
                ask(&scene.cast.agent, json!({ "subscriptionId": begun(&scene).await.id(), "readMask": "status,price,periodEndTime" }))
            };
            "another account's" => For("NOT_FOUND"), |scene| ask(&scene.cast.stranger, json!({ "subscriptionId": begun(&scene).await.id() }));
        }
        "SubscriptionService.ListSubscriptions" {
            "an account's" => With(200), |scene| {
                begun(&scene).await;
                failed(&scene).await;
                cancelled(&scene, true).await;
                ask(&scene.cast.customer, json!({ "accountId": scene.account() }))
            };
            "some fields of an account's, by page" => With(200), |scene| {
                begun(&scene).await;
                begun(&scene).await;
                cancelled(&scene, false).await;
                let first = json!({ "accountId": scene.account(), "statuses": ["SUBSCRIPTION_STATUS_ACTIVE"], "pageSize": 1 });
                let page = scene.cast.agent.call(Door::Rest, "SubscriptionService.ListSubscriptions", first.clone()).await;
                let mut second = first;
                second["pageToken"] = page.text("/meta/nextPageToken").into();
                ask(&scene.cast.agent, second)
            };
            "an invalid token" => For("VALIDATION_FAILED"), |scene| ask(&scene.cast.customer, json!({ "pageToken": "AAAA" }));
        }
    }
}
