//! Payments and refunds at the built-in sandbox gateway.

use serde_json::json;

use super::{
    Ask, Case,
    Ends::{For, With},
    Scene, ask, cases, nothing,
    order::order,
};
use crate::support::{Answer, Door, unique};

const CHARGE: &str = "PaymentService.ChargePayment";
const REFUND: &str = "RefundService.CreateRefund";

/// A request by the customer to charge a new order of 4.50 EUR to a card.
async fn charge(scene: &Scene, card: &str) -> Ask {
    ask(&scene.cast.customer, json!({ "orderId": order(scene).await, "paymentMethod": card }))
        .header("idempotency-key", unique())
}

/// Creates a payment of 4.50 EUR that succeeds.
pub(crate) async fn paid(scene: &Scene) -> Answer {
    charge(scene, "pm_card_visa").await.send(Door::Rest, CHARGE).await.good()
}

/// Creates a payment of 4.50 EUR whose outcome only its job finds out.
pub(crate) async fn unknown(scene: &Scene) -> Answer {
    charge(scene, "pm_sandbox_error").await.send(Door::Rest, CHARGE).await.good()
}

async fn declined(scene: &Scene) -> String {
    let asked = charge(scene, "pm_card_visa_chargeDeclined").await;
    asked.send(Door::Rest, CHARGE).await.refused("CARD_DECLINED");
    let filter = json!({ "orderId": asked.request["orderId"] });
    scene.cast.customer.call(Door::Rest, "PaymentService.ListPayments", filter).await.good().text("/data/0/id")
}

fn refund(scene: &Scene, payment: &str, amount_minor: Option<i64>) -> Ask {
    let mut request = json!({ "paymentId": payment });
    if let Some(amount) = amount_minor {
        request["amountMinor"] = amount.to_string().into();
    }
    ask(&scene.cast.agent, request).header("idempotency-key", unique())
}

async fn refunded(scene: &Scene, amount_minor: Option<i64>) -> (String, String) {
    let payment = paid(scene).await.id();
    let refund = refund(scene, &payment, amount_minor).send(Door::Rest, REFUND).await.good().id();
    (payment, refund)
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = charges();
    cases.extend(refunds());
    cases.extend(reads());
    cases
}

fn charges() -> Vec<Case> {
    cases! {
        "PaymentService.ChargePayment" {
            "a good card" => With(201), |scene| charge(&scene, "pm_card_visa").await;
            "by an agent" => With(201), |scene| Ask { who: scene.cast.agent.clone(), ..charge(&scene, "pm_card_mastercard").await };
            "the answer is lost" => With(202), |scene| charge(&scene, "pm_sandbox_error").await;
            "a declined card" => For("CARD_DECLINED"), |scene| charge(&scene, "pm_card_visa_chargeDeclined").await;
            "a card without money" => For("CARD_DECLINED"), |scene| charge(&scene, "pm_card_visa_chargeDeclinedInsufficientFunds").await;
            "an expired card" => For("CARD_DECLINED"), |scene| charge(&scene, "pm_card_chargeDeclinedExpiredCard").await;
            "an unknown card" => For("PAYMENT_FAILED"), |scene| charge(&scene, "pm_nonsense").await;
            "the same key again" => With(201), |scene| {
                let asked = charge(&scene, "pm_card_visa").await;
                asked.send(Door::Grpc, CHARGE).await.good();
                asked
            };
            "the same key again, declined" => For("CARD_DECLINED"), |scene| {
                let asked = charge(&scene, "pm_card_visa_chargeDeclined").await;
                asked.send(Door::Rest, CHARGE).await.refused("CARD_DECLINED");
                asked
            };
            "the same key for another order" => For("IDEMPOTENCY_KEY_REUSED"), |scene| {
                let (first, mut second) = (charge(&scene, "pm_card_visa").await, charge(&scene, "pm_card_visa").await);
                first.send(Door::Rest, CHARGE).await.good();
                second.headers = first.headers;
                second
            };
            "another card after a declined one" => With(201), |scene| {
                let first = charge(&scene, "pm_card_visa_chargeDeclined").await;
                first.send(Door::Rest, CHARGE).await.refused("CARD_DECLINED");
                let request = json!({ "orderId": first.request["orderId"], "paymentMethod": "pm_card_visa" });
                Ask { request, headers: Vec::new(), ..first }.header("idempotency-key", unique())
            };
            "without a key" => For("IDEMPOTENCY_KEY_MISSING"), |scene| {
                Ask { headers: Vec::new(), ..charge(&scene, "pm_card_visa").await }
            };
            "a paid order" => For("BUSINESS_RULE_VIOLATION"), |scene| {
                let order = paid(&scene).await.text("/data/orderId");
                ask(&scene.cast.customer, json!({ "orderId": order, "paymentMethod": "pm_card_visa" })).header("idempotency-key", "other")
            };
            "an order whose payment is pending" => For("BUSINESS_RULE_VIOLATION"), |scene| {
                let first = charge(&scene, "pm_sandbox_error").await;
                first.send(Door::Rest, CHARGE).await.good();
                Ask { headers: Vec::new(), ..first }.header("idempotency-key", unique())
            };
            "another account's order" => For("NOT_FOUND"), |scene| {
                Ask { who: scene.cast.stranger.clone(), ..charge(&scene, "pm_card_visa").await }
            };
            "a card number" => For("VALIDATION_FAILED"), |scene| charge(&scene, "4242424242424242").await;
            "a card number with spaces" => For("VALIDATION_FAILED"), |scene| charge(&scene, "4242 4242 4242 4242").await;
            "no order and no card" => For("VALIDATION_FAILED"), |scene| {
                ask(&scene.cast.customer, json!({ "orderId": "17" })).header("idempotency-key", "one")
            };
        }
    }
}

fn refunds() -> Vec<Case> {
    cases! {
        "RefundService.CreateRefund" {
            "all of it" => With(201), |scene| refund(&scene, &paid(&scene).await.id(), None);
            "a part" => With(201), |scene| refund(&scene, &paid(&scene).await.id(), Some(1));
            "the rest" => With(201), |scene| {
                let (payment, _) = refunded(&scene, Some(100)).await;
                refund(&scene, &payment, Some(350))
            };
            "the same key again" => With(201), |scene| {
                let asked = refund(&scene, &paid(&scene).await.id(), None);
                asked.send(Door::Grpc, REFUND).await.good();
                asked
            };
            "more than was charged" => For("BUSINESS_RULE_VIOLATION"), |scene| refund(&scene, &paid(&scene).await.id(), Some(451));
            "more than is left" => For("BUSINESS_RULE_VIOLATION"), |scene| {
                let (payment, _) = refunded(&scene, Some(100)).await;
                refund(&scene, &payment, Some(351))
            };
            "when nothing is left" => For("BUSINESS_RULE_VIOLATION"), |scene| {
                let (payment, _) = refunded(&scene, None).await;
                refund(&scene, &payment, None)
            };
            "of a declined payment" => For("BUSINESS_RULE_VIOLATION"), |scene| refund(&scene, &declined(&scene).await, None);
            "a negative amount" => For("VALIDATION_FAILED"), |scene| refund(&scene, &nothing(), Some(-1));
            "without a key" => For("IDEMPOTENCY_KEY_MISSING"), |scene| {
                Ask { headers: Vec::new(), ..refund(&scene, &nothing(), None) }
            };
            "a customer may not" => For("PERMISSION_DENIED"), |scene| {
                Ask { who: scene.cast.customer.clone(), ..refund(&scene, &nothing(), None) }
            };
            "of an unknown payment" => For("NOT_FOUND"), |scene| refund(&scene, &nothing(), None);
        }
    }
}

fn reads() -> Vec<Case> {
    cases! {
        "PaymentService.GetPayment" {
            "the caller's own" => With(200), |scene| ask(&scene.cast.customer, json!({ "paymentId": paid(&scene).await.id() }));
            "a declined one" => With(200), |scene| ask(&scene.cast.customer, json!({ "paymentId": declined(&scene).await }));
            "some of its fields" => With(200), |scene| {
                ask(&scene.cast.customer, json!({ "paymentId": paid(&scene).await.id(), "readMask": "status,amount" }))
            };
            "another account's" => For("NOT_FOUND"), |scene| ask(&scene.cast.stranger, json!({ "paymentId": paid(&scene).await.id() }));
        }
        "PaymentService.ListPayments" {
            "an account's" => With(200), |scene| {
                paid(&scene).await;
                declined(&scene).await;
                ask(&scene.cast.customer, json!({ "accountId": scene.account() }))
            };
            "some fields of an account's, by page" => With(200), |scene| {
                paid(&scene).await;
                paid(&scene).await;
                declined(&scene).await;
                let first = json!({ "accountId": scene.account(), "statuses": ["PAYMENT_STATUS_SUCCEEDED"], "pageSize": 1 });
                let page = scene.cast.agent.call(Door::Rest, "PaymentService.ListPayments", first.clone()).await;
                let mut second = first;
                second["pageToken"] = page.text("/meta/nextPageToken").into();
                ask(&scene.cast.agent, second)
            };
            "an invalid token" => For("VALIDATION_FAILED"), |scene| ask(&scene.cast.customer, json!({ "pageToken": "AAAA" }));
        }
        "RefundService.GetRefund" {
            "the caller's own" => With(200), |scene| ask(&scene.cast.customer, json!({ "refundId": refunded(&scene, Some(7)).await.1 }));
            "another account's" => For("NOT_FOUND"), |scene| ask(&scene.cast.stranger, json!({ "refundId": refunded(&scene, Some(7)).await.1 }));
        }
        "RefundService.ListRefunds" {
            "of the caller's own payment" => With(200), |scene| {
                let (payment, _) = refunded(&scene, Some(7)).await;
                refund(&scene, &payment, Some(8)).send(Door::Rest, REFUND).await.good();
                ask(&scene.cast.customer, json!({ "paymentId": payment }))
            };
            "of another account" => For("NOT_FOUND"), |scene| ask(&scene.cast.stranger, json!({ "paymentId": paid(&scene).await.id() }));
        }
    }
}
