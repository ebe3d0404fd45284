//! Products and orders.

use serde_json::{Value, json};

use super::{
    Case,
    Expected::{Reason, Status},
    Scene, call, cases, unknown_id,
};
use crate::support::{Protocol, euro};

/// Creates a product at this price.
pub(crate) async fn product(scene: &Scene, price_minor: i64, currency: &str) -> String {
    let request = json!({ "name": "A thing", "price": { "amountMinor": price_minor, "currencyCode": currency } });
    scene.cast.admin.rest("ProductService.CreateProduct", request).await.success().id()
}

/// Creates a product of 9.00 EUR billed each month or year.
pub(crate) async fn create_recurring_product(scene: &Scene, interval: &str) -> String {
    let request = json!({
        "name": "A box", "price": euro("900"), "billingInterval": interval,
    });
    scene.cast.admin.rest("ProductService.CreateProduct", request).await.success().id()
}

fn lines(lines: &[(String, i32)]) -> Value {
    lines.iter().map(|(product, quantity)| json!({ "productId": product, "quantity": quantity })).collect()
}

/// Creates an order of the customer for 4.50 EUR.
pub(crate) async fn order(scene: &Scene) -> String {
    let request = json!({ "items": lines(&[(product(scene, 150, "EUR").await, 3)]) });
    scene.cast.customer.rest("OrderService.CreateOrder", request).await.success().id()
}

async fn cancel_order(scene: &Scene) -> String {
    let id = order(scene).await;
    scene.cast.customer.rest("OrderService.CancelOrder", json!({ "orderId": id })).await.success();
    id
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = products();
    cases.extend(creates());
    cases.extend(others());
    cases
}

fn products() -> Vec<Case> {
    cases! {
        "ProductService.CreateProduct" {
            "an admin may" => Status(201), |scene| {
                call(&scene.cast.admin, json!({ "name": "Grüße 🔥", "price": euro("1999") }))
            };
            "one and a half million rupiah" => Status(201), |scene| {
                let price = json!({ "amountMinor": "150000000", "currencyCode": "IDR" });
                call(&scene.cast.admin, json!({ "name": "A desk in Jakarta", "price": price }))
            };
            "a hundred million yen" => Status(201), |scene| {
                let price = json!({ "amountMinor": "100000000", "currencyCode": "JPY" });
                call(&scene.cast.admin, json!({ "name": "A house in Tokyo", "price": price }))
            };
            "more euros than can be charged" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, json!({ "name": "A house", "price": euro("100000000") }))
            };
            "more rupiah than can be charged" => Reason("VALIDATION_FAILED"), |scene| {
                let price = json!({ "amountMinor": "1000000000000", "currencyCode": "IDR" });
                call(&scene.cast.admin, json!({ "name": "A house in Jakarta", "price": price }))
            };
            "hundredths of a dinar" => Status(201), |scene| {
                let price = json!({ "amountMinor": "1230", "currencyCode": "KWD" });
                call(&scene.cast.admin, json!({ "name": "A coffee in Kuwait", "price": price }))
            };
            "thousandths of a dinar, which no gateway charges" => Reason("VALIDATION_FAILED"), |scene| {
                let price = json!({ "amountMinor": "1234", "currencyCode": "KWD" });
                call(&scene.cast.admin, json!({ "name": "A coffee in Kuwait", "price": price }))
            };
            "a part of an ariary" => Reason("VALIDATION_FAILED"), |scene| {
                let price = json!({ "amountMinor": "501", "currencyCode": "MGA" });
                call(&scene.cast.admin, json!({ "name": "A coffee in Antananarivo", "price": price }))
            };
            "a customer may not" => Reason("PERMISSION_DENIED"), |scene| {
                call(&scene.cast.customer, json!({ "name": "Mine", "price": euro(1) }))
            };
            "a recurring product" => Status(201), |scene| {
                call(&scene.cast.admin, json!({
                    "name": "A box each month", "price": euro("1999"), "billingInterval": "BILLING_INTERVAL_MONTH",
                }))
            };
            "an unknown interval" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, json!({ "name": "A thing", "price": euro(1), "billingInterval": 0 }))
            };
            "an unknown currency" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, json!({ "name": "A thing", "price": { "amountMinor": 1, "currencyCode": "EUX" } }))
            };
            "no price" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.admin, json!({ "name": "A thing" }));
            "a negative price and no name" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, json!({ "price": { "amountMinor": -1, "currencyCode": "EURO" } }))
            };
            "more than can be charged" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, json!({ "name": "A thing", "price": euro("9223372036854775807") }))
            };
        }
        "ProductService.GetProduct" {
            "an existing one" => Status(200), |scene| call(&scene.cast.customer, json!({ "productId": product(&scene, 1, "EUR").await }));
            "some of its fields" => Status(200), |scene| {
                call(&scene.cast.agent, json!({ "productId": product(&scene, 1, "JPY").await, "readMask": "id,price.amountMinor" }))
            };
            "an unknown id" => Reason("NOT_FOUND"), |scene| call(&scene.cast.customer, json!({ "productId": unknown_id() }));
        }
        "ProductService.ListProducts" {
            // Not the first page: its total and prices include the products of other cases.
            "a page" => Status(200), |scene| {
                for _ in 0..3 {
                    product(&scene, 1, "EUR").await;
                }
                let page = scene.cast.customer.rest("ProductService.ListProducts", json!({ "pageSize": 1 })).await;
                let token = page.text("/meta/nextPageToken");
                call(&scene.cast.customer, json!({ "pageSize": 1, "pageToken": token, "readMask": "id,createTime" }))
            };
            "an invalid token" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.customer, json!({ "pageToken": "AAAA" }));
        }
        "ProductService.UpdateProduct" {
            "the price" => Status(200), |scene| {
                call(&scene.cast.admin, json!({ "productId": product(&scene, 1, "EUR").await, "product": { "price": euro(2) } }))
                    .header("if-match", "\"1\"")
            };
            "a price in another currency" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, json!({ "productId": product(&scene, 1, "JPY").await, "product": { "price": euro(2) } }))
            };
            "a price of nothing" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, json!({ "productId": product(&scene, 1, "EUR").await, "product": { "price": {} } }))
            };
            "archived, by the mask alone" => Status(200), |scene| call(&scene.cast.admin, json!({
                "productId": product(&scene, 1, "EUR").await, "product": { "archived": true, "name": "Not this" }, "updateMask": "archived",
            }));
            "a name cleared" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.admin, json!({
                "productId": product(&scene, 1, "EUR").await, "product": {}, "updateMask": "name",
            }));
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| {
                call(&scene.cast.admin, json!({ "productId": product(&scene, 1, "EUR").await, "product": { "name": "Other" } }))
                    .header("if-match", "\"7\"")
            };
            "an unknown id" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.admin, json!({ "productId": unknown_id(), "product": { "name": "Other" } }))
            };
        }
    }
}

fn creates() -> Vec<Case> {
    cases! {
        "OrderService.CreateOrder" {
            "a customer orders" => Status(201), |scene| call(&scene.cast.customer, json!({
                "accountId": scene.account(),
                "items": lines(&[(product(&scene, 1999, "EUR").await, 2), (product(&scene, 1, "EUR").await, 10_000)]),
            }));
            "the same product twice" => Status(201), |scene| {
                let product = product(&scene, 1999, "EUR").await;
                call(&scene.cast.customer, json!({ "items": lines(&[(product.clone(), 1), (product, 2)]) }))
            };
            "an agent names the account" => Status(201), |scene| call(&scene.cast.agent, json!({
                "accountId": scene.account(), "items": lines(&[(product(&scene, 1, "JPY").await, 1)]),
            }));
            "an agent names the recipient" => Status(201), |scene| call(&scene.cast.agent, json!({
                "accountId": scene.account(), "items": lines(&[(product(&scene, 1, "EUR").await, 1)]),
                "confirmationEmail": "buyer@other.example",
            }));
            "a customer names a recipient" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.customer, json!({
                "items": lines(&[(product(&scene, 1, "EUR").await, 1)]), "confirmationEmail": "buyer@other.example",
            }));
            "an agent names no account" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.agent, json!({
                "items": lines(&[(product(&scene, 1, "EUR").await, 1)]),
            }));
            "an unknown account" => Reason("NOT_FOUND"), |scene| call(&scene.cast.agent, json!({
                "accountId": unknown_id(), "items": lines(&[(product(&scene, 1, "EUR").await, 1)]),
            }));
            "the same key again" => Status(201), |scene| {
                let items = lines(&[(product(&scene, 1, "EUR").await, 1)]);
                let call = call(&scene.cast.customer, json!({ "items": items })).header("idempotency-key", "again");
                call.send(Protocol::Grpc, "OrderService.CreateOrder").await.success();
                call
            };
            "no items" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.customer, json!({ "items": [] }));
            "a quantity of zero, and a malformed id" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.customer, json!({ "items": lines(&[(product(&scene, 1, "EUR").await, 0), ("17".into(), 1)]) }))
            };
            "an unknown product" => Reason("PRODUCT_UNAVAILABLE"), |scene| {
                call(&scene.cast.customer, json!({ "items": lines(&[(product(&scene, 1, "EUR").await, 1), (unknown_id(), 1)]) }))
            };
            "an archived product" => Reason("PRODUCT_UNAVAILABLE"), |scene| {
                let product = product(&scene, 1, "EUR").await;
                let archive = json!({ "productId": product, "product": { "archived": true } });
                scene.cast.admin.rest("ProductService.UpdateProduct", archive).await.success();
                call(&scene.cast.customer, json!({ "items": lines(&[(product, 1)]) }))
            };
            "a recurring product" => Reason("PRODUCT_SOLD_OTHERWISE"), |scene| {
                let product = create_recurring_product(&scene, "BILLING_INTERVAL_YEAR").await;
                call(&scene.cast.customer, json!({ "items": lines(&[(product, 1)]) }))
            };
            "two currencies" => Reason("CURRENCIES_MIXED"), |scene| call(&scene.cast.customer, json!({
                "items": lines(&[(product(&scene, 1, "EUR").await, 1), (product(&scene, 1, "USD").await, 1)]),
            }));
            "more than can be charged" => Reason("AMOUNT_OUT_OF_RANGE"), |scene| {
                call(&scene.cast.customer, json!({ "items": lines(&[(product(&scene, 99_999_999, "EUR").await, 10_000)]) }))
            };
        }
    }
}

fn others() -> Vec<Case> {
    cases! {
        "OrderService.GetOrder" {
            "the caller's own" => Status(200), |scene| call(&scene.cast.customer, json!({ "orderId": order(&scene).await }));
            "some of its fields" => Status(200), |scene| {
                call(&scene.cast.customer, json!({ "orderId": order(&scene).await, "readMask": "status,items,total.currencyCode" }))
            };
            "another account's" => Reason("NOT_FOUND"), |scene| call(&scene.cast.stranger, json!({ "orderId": order(&scene).await }));
            "a malformed id" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.agent, json!({ "orderId": "17" }));
        }
        "OrderService.ListOrders" {
            "an account's" => Status(200), |scene| {
                order(&scene).await;
                cancel_order(&scene).await;
                call(&scene.cast.customer, json!({ "accountId": scene.account() }))
            };
            "some fields of an account's, by page" => Status(200), |scene| {
                order(&scene).await;
                order(&scene).await;
                cancel_order(&scene).await;
                let first = json!({ "accountId": scene.account(), "statuses": ["ORDER_STATUS_OPEN"], "pageSize": 1 });
                let page = scene.cast.agent.rest("OrderService.ListOrders", first.clone()).await;
                let mut second = first;
                second["pageToken"] = page.text("/meta/nextPageToken").into();
                call(&scene.cast.agent, second)
            };
            "too deep for an offset" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.customer, json!({ "page": 5000, "pageSize": 100 }));
            "a status twice" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.customer, json!({ "statuses": ["ORDER_STATUS_OPEN", "ORDER_STATUS_OPEN"] }))
            };
        }
        "OrderService.CancelOrder" {
            "the caller's own" => Status(200), |scene| {
                call(&scene.cast.customer, json!({ "orderId": order(&scene).await })).header("if-match", "\"1\"")
            };
            "a cancelled one" => Reason("ORDER_CANCELLED"), |scene| call(&scene.cast.customer, json!({ "orderId": cancel_order(&scene).await }));
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| {
                call(&scene.cast.customer, json!({ "orderId": cancel_order(&scene).await })).header("if-match", "\"1\"")
            };
        }
    }
}
