//! Payments and refunds at the built-in sandbox gateway.

use serde_json::json;

use super::{
    Call, Case,
    Expected::{Reason, Status},
    Scene, call, cases,
    order::order,
    unknown_id,
};
use crate::support::{Protocol, Response, euro, unique};

const CHARGE: &str = "PaymentService.ChargePayment";
const REFUND: &str = "RefundService.CreateRefund";

/// A request by the customer to charge a new order of 4.50 EUR to a card.
async fn charge(scene: &Scene, card: &str) -> Call {
    call(&scene.cast.customer, json!({ "orderId": order(scene).await, "paymentMethod": card }))
        .header("idempotency-key", unique())
}

/// Creates a payment of 4.50 EUR that succeeds.
pub(crate) async fn pay(scene: &Scene) -> Response {
    charge(scene, "pm_card_visa").await.send(Protocol::Rest, CHARGE).await.success()
}

/// Creates a payment of 4.50 EUR whose outcome only its job finds out.
pub(crate) async fn unknown(scene: &Scene) -> Response {
    charge(scene, "pm_sandbox_error").await.send(Protocol::Rest, CHARGE).await.success()
}

async fn decline_payment(scene: &Scene) -> String {
    let call = charge(scene, "pm_card_visa_chargeDeclined").await;
    call.send(Protocol::Rest, CHARGE).await.failure("CARD_DECLINED");
    let filter = json!({ "orderId": call.request["orderId"] });
    scene.cast.customer.rest("PaymentService.ListPayments", filter).await.success().text("/data/0/id")
}

fn refund(scene: &Scene, payment: &str, amount: Option<i64>) -> Call {
    let mut request = json!({ "paymentId": payment });
    if let Some(amount) = amount {
        request["amount"] = euro(amount.to_string());
    }
    call(&scene.cast.admin, request).header("idempotency-key", unique())
}

async fn refund_payment(scene: &Scene, amount: Option<i64>) -> (String, String) {
    let payment = pay(scene).await.id();
    let refund = refund(scene, &payment, amount).send(Protocol::Rest, REFUND).await.success().id();
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
            "a good card" => Status(201), |scene| charge(&scene, "pm_card_visa").await;
            "by an agent" => Status(201), |scene| Call { who: scene.cast.agent.clone(), ..charge(&scene, "pm_card_mastercard").await };
            "the answer is lost" => Status(202), |scene| charge(&scene, "pm_sandbox_error").await;
            "a declined card" => Reason("CARD_DECLINED"), |scene| charge(&scene, "pm_card_visa_chargeDeclined").await;
            "a card without money" => Reason("CARD_DECLINED"), |scene| charge(&scene, "pm_card_visa_chargeDeclinedInsufficientFunds").await;
            "an expired card" => Reason("CARD_DECLINED"), |scene| charge(&scene, "pm_card_chargeDeclinedExpiredCard").await;
            "an unknown card" => Reason("PAYMENT_FAILED"), |scene| charge(&scene, "pm_nonsense").await;
            "the same key again" => Status(201), |scene| {
                let call = charge(&scene, "pm_card_visa").await;
                call.send(Protocol::Grpc, CHARGE).await.success();
                call
            };
            "the same key again, declined" => Reason("CARD_DECLINED"), |scene| {
                let call = charge(&scene, "pm_card_visa_chargeDeclined").await;
                call.send(Protocol::Rest, CHARGE).await.failure("CARD_DECLINED");
                call
            };
            "the same key for another order" => Reason("IDEMPOTENCY_KEY_REUSED"), |scene| {
                let (first, mut second) = (charge(&scene, "pm_card_visa").await, charge(&scene, "pm_card_visa").await);
                first.send(Protocol::Rest, CHARGE).await.success();
                second.headers = first.headers;
                second
            };
            "another card after a declined one" => Status(201), |scene| {
                let first = charge(&scene, "pm_card_visa_chargeDeclined").await;
                first.send(Protocol::Rest, CHARGE).await.failure("CARD_DECLINED");
                let request = json!({ "orderId": first.request["orderId"], "paymentMethod": "pm_card_visa" });
                Call { request, headers: Vec::new(), ..first }.header("idempotency-key", unique())
            };
            "without a key" => Reason("IDEMPOTENCY_KEY_MISSING"), |scene| {
                Call { headers: Vec::new(), ..charge(&scene, "pm_card_visa").await }
            };
            "a paid order" => Reason("ORDER_ALREADY_PAID"), |scene| {
                let order = pay(&scene).await.text("/data/orderId");
                call(&scene.cast.customer, json!({ "orderId": order, "paymentMethod": "pm_card_visa" })).header("idempotency-key", "other")
            };
            "an order whose payment is pending" => Reason("ORDER_PAYMENT_PENDING"), |scene| {
                let first = charge(&scene, "pm_sandbox_error").await;
                first.send(Protocol::Rest, CHARGE).await.success();
                Call { headers: Vec::new(), ..first }.header("idempotency-key", unique())
            };
            "a refunded order" => Reason("ORDER_REFUNDED"), |scene| {
                let payment = pay(&scene).await;
                refund(&scene, &payment.id(), None).send(Protocol::Rest, REFUND).await.success();
                call(&scene.cast.customer, json!({ "orderId": payment.text("/data/orderId"), "paymentMethod": "pm_card_visa" }))
                    .header("idempotency-key", "other")
            };
            "another account's order" => Reason("NOT_FOUND"), |scene| {
                Call { who: scene.cast.stranger.clone(), ..charge(&scene, "pm_card_visa").await }
            };
            "a card number" => Reason("VALIDATION_FAILED"), |scene| charge(&scene, "4242424242424242").await;
            "a card number with spaces" => Reason("VALIDATION_FAILED"), |scene| charge(&scene, "4242 4242 4242 4242").await;
            "no order and no card" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.customer, json!({ "orderId": "17" })).header("idempotency-key", "one")
            };
        }
    }
}

fn refunds() -> Vec<Case> {
    cases! {
        "RefundService.CreateRefund" {
            "all of it" => Status(201), |scene| refund(&scene, &pay(&scene).await.id(), None);
            "a part" => Status(201), |scene| refund(&scene, &pay(&scene).await.id(), Some(1));
            "the rest" => Status(201), |scene| {
                let (payment, _) = refund_payment(&scene, Some(100)).await;
                refund(&scene, &payment, Some(350))
            };
            "the same key again" => Status(201), |scene| {
                let call = refund(&scene, &pay(&scene).await.id(), None);
                call.send(Protocol::Grpc, REFUND).await.success();
                call
            };
            "more than was charged" => Reason("REFUND_EXCEEDS_PAYMENT"), |scene| refund(&scene, &pay(&scene).await.id(), Some(451));
            "more than is left" => Reason("REFUND_EXCEEDS_PAYMENT"), |scene| {
                let (payment, _) = refund_payment(&scene, Some(100)).await;
                refund(&scene, &payment, Some(351))
            };
            "an agent may not" => Reason("PERMISSION_DENIED"), |scene| {
                Call { who: scene.cast.agent.clone(), ..refund(&scene, &pay(&scene).await.id(), None) }
            };
            "in another currency" => Reason("CURRENCIES_MIXED"), |scene| {
                let payment = pay(&scene).await.id();
                let request = json!({ "paymentId": payment, "amount": { "amountMinor": 1, "currencyCode": "JPY" } });
                call(&scene.cast.admin, request).header("idempotency-key", unique())
            };
            "nothing" => Reason("VALIDATION_FAILED"), |scene| refund(&scene, &pay(&scene).await.id(), Some(0));
            "when nothing is left" => Reason("PAYMENT_ALREADY_REFUNDED"), |scene| {
                let (payment, _) = refund_payment(&scene, None).await;
                refund(&scene, &payment, None)
            };
            "of a pending payment" => Reason("PAYMENT_PENDING"), |scene| {
                let payment = unknown(&scene).await.id();
                refund(&scene, &payment, None)
            };
            "of a payment at another gateway" => Reason("GATEWAY_CHANGED"), |scene| {
                let payment = pay(&scene).await.id();
                scene.database.sql(&format!("UPDATE payments SET gateway = 'stripe' WHERE id = '{payment}'")).await;
                refund(&scene, &payment, None)
            };
            "of a declined payment" => Reason("PAYMENT_NOT_CHARGED"), |scene| refund(&scene, &decline_payment(&scene).await, None);
            "a negative amount" => Reason("VALIDATION_FAILED"), |scene| refund(&scene, &unknown_id(), Some(-1));
            "without a key" => Reason("IDEMPOTENCY_KEY_MISSING"), |scene| {
                Call { headers: Vec::new(), ..refund(&scene, &unknown_id(), None) }
            };
            "a customer may not" => Reason("PERMISSION_DENIED"), |scene| {
                Call { who: scene.cast.customer.clone(), ..refund(&scene, &unknown_id(), None) }
            };
            "of an unknown payment" => Reason("NOT_FOUND"), |scene| refund(&scene, &unknown_id(), None);
        }
    }
}

fn reads() -> Vec<Case> {
    cases! {
        "PaymentService.GetPayment" {
            "the caller's own" => Status(200), |scene| call(&scene.cast.customer, json!({ "paymentId": pay(&scene).await.id() }));
            "a declined one" => Status(200), |scene| call(&scene.cast.customer, json!({ "paymentId": decline_payment(&scene).await }));
            "some of its fields" => Status(200), |scene| {
                call(&scene.cast.customer, json!({ "paymentId": pay(&scene).await.id(), "readMask": "status,amount" }))
            };
            "another account's" => Reason("NOT_FOUND"), |scene| call(&scene.cast.stranger, json!({ "paymentId": pay(&scene).await.id() }));
        }
        "PaymentService.ListPayments" {
            "an account's" => Status(200), |scene| {
                pay(&scene).await;
                decline_payment(&scene).await;
                call(&scene.cast.customer, json!({ "accountId": scene.account() }))
            };
            "some fields of an account's, by page" => Status(200), |scene| {
                pay(&scene).await;
                pay(&scene).await;
                decline_payment(&scene).await;
                let first = json!({ "accountId": scene.account(), "statuses": ["PAYMENT_STATUS_SUCCEEDED"], "pageSize": 1 });
                let page = scene.cast.agent.rest("PaymentService.ListPayments", first.clone()).await;
                let mut second = first;
                second["pageToken"] = page.text("/meta/nextPageToken").into();
                call(&scene.cast.agent, second)
            };
            "an invalid token" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.customer, json!({ "pageToken": "AAAA" }));
        }
        "RefundService.GetRefund" {
            "the caller's own" => Status(200), |scene| call(&scene.cast.customer, json!({ "refundId": refund_payment(&scene, Some(7)).await.1 }));
            "another account's" => Reason("NOT_FOUND"), |scene| call(&scene.cast.stranger, json!({ "refundId": refund_payment(&scene, Some(7)).await.1 }));
        }
        "RefundService.ListRefunds" {
            "of the caller's own payment" => Status(200), |scene| {
                let (payment, _) = refund_payment(&scene, Some(7)).await;
                refund(&scene, &payment, Some(8)).send(Protocol::Rest, REFUND).await.success();
                call(&scene.cast.customer, json!({ "paymentId": payment }))
            };
            "of another account" => Reason("NOT_FOUND"), |scene| call(&scene.cast.stranger, json!({ "paymentId": pay(&scene).await.id() }));
        }
    }
}
