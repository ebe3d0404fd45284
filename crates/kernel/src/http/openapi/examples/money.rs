//! Example values for orders, payments and subscriptions.

use serde_json::{Value, json};

const PRODUCT: &str = "0197a0c1-5b7e-7f02-9d31-2a4c6e8f0b13";
const ORDER: &str = "0197b61a-93d4-7c55-a8e2-6d1f3b5c7e90";
const PAYMENT: &str = "0197b61b-1f60-7a2d-b4c8-0e9d8c7b6a5f";
const REFUND: &str = "0197b9f4-6c11-7b83-8e5a-3f2e1d0c9b8a";

const SUBSCRIPTION: &str = "0197b61c-2d84-7c19-9b3e-5f4a3c2b1d0e";

/// Returns the example value of a field, by its message and its name.
pub(crate) fn by_name(message: &str, field: &str) -> Option<Value> {
    Some(match (message, field) {
        ("Product", "id") | (_, "product_id") => json!(PRODUCT),
        ("Order", "id") | (_, "order_id") => json!(ORDER),
        ("Payment", "id") | (_, "payment_id") => json!(PAYMENT),
        ("Refund", "id") | (_, "refund_id") => json!(REFUND),
        ("Subscription", "id") | (_, "subscription_id") => json!(SUBSCRIPTION),
        ("Subscription", "status") => json!("SUBSCRIPTION_STATUS_ACTIVE"),
        ("Subscription", "gateway_id") => json!("sub_1SVbN2LkdIwHu7ixQm8WcT4k"),
        ("Subscription", "period_start_time") => json!("2026-03-02T08:15:31Z"),
        ("Subscription", "period_end_time") => json!("2026-04-02T08:15:31Z"),
        ("Subscription", "product_name") => json!("Snapshot desk, rented"),
        ("Subscription", "price") => money("1900"),
        ("Subscription", "cancel_at_period_end") | (_, "at_period_end") => json!(false),
        (_, "billing_interval") => json!("BILLING_INTERVAL_MONTH"),
        ("Product" | "CreateProductRequest" | "ProductPatch" | "OrderItem", "name") => json!("Snapshot desk"),
        (_, "confirmation_email") => json!("accounting@example.com"),
        ("Order", "status") => json!("ORDER_STATUS_PAID"),
        ("Payment", "status") => json!("PAYMENT_STATUS_SUCCEEDED"),
        ("Refund", "status") => json!("REFUND_STATUS_SUCCEEDED"),
        ("Order", "total") | ("OrderItem" | "Payment" | "Refund", "amount") => money("39900"),
        ("Product", "price") | ("OrderItem", "unit_price") => money("39900"),
        ("Product" | "ProductPatch", "archived") => json!(false),
        (_, "quantity") => json!(1),
        (_, "price_minor" | "amount_minor") => json!("39900"),
        ("Payment", "refunded_minor") => json!("0"),
        ("Refund", "made_at_gateway") => json!(false),
        (_, "currency_code") => json!("EUR"),
        (_, "payment_method") => json!("pm_card_visa"),
        (_, "gateway") => json!("stripe"),
        ("Payment", "gateway_id") => json!("pi_3SVbN2LkdIwHu7ix0Q1tPzRc"),
        ("Refund", "gateway_id") => json!("re_3SVbN2LkdIwHu7ix0mXkYq9d"),
        (_, "pay_time") => json!("2026-03-02T09:41:07Z"),
        (_, "placed_by") => json!(crate::http::openapi::examples::CUSTOMER),
        _ => return None,
    })
}

/// Returns whether an example omits a field: the product is sold once, the order is paid, not ended, and placed by the
/// customer, the subscription is active, and nothing failed.
pub(crate) fn is_left_out(message: &str, field: &str) -> bool {
    matches!(
        (message, field),
        ("Product", "billing_interval")
            | ("Order", "end_time" | "confirmation_email")
            | ("Subscription", "cancel_time" | "pending_cancellation")
            | ("Payment" | "Refund" | "Subscription", "failure_code" | "failure_message")
    )
}

fn money(minor: &str) -> Value {
    json!({ "amountMinor": minor, "currencyCode": "EUR" })
}
