//! Example values for the API description.

use mainstay_kernel::http::openapi::examples::Example;
use serde_json::json;

const PAYMENT: &str = "0197b61b-1f60-7a2d-b4c8-0e9d8c7b6a5f";
const REFUND: &str = "0197b9f4-6c11-7b83-8e5a-3f2e1d0c9b8a";
const ORDER: &str = "0197b61a-93d4-7c55-a8e2-6d1f3b5c7e90";

/// Returns the example of a field, by its message and its name.
pub(super) fn by_name(message: &str, field: &str) -> Option<Example> {
    Some(match (message, field) {
        ("Payment", "id") | (_, "payment_id") => json!(PAYMENT).into(),
        ("Refund", "id") | (_, "refund_id") => json!(REFUND).into(),
        (_, "order_id") => json!(ORDER).into(),
        ("Payment", "status") => json!("PAYMENT_STATUS_SUCCEEDED").into(),
        ("Refund", "status") => json!("REFUND_STATUS_SUCCEEDED").into(),
        ("Payment" | "Refund" | "CreateRefundRequest", "amount") => {
            json!({ "amountMinor": "39900", "currencyCode": "EUR" }).into()
        }
        ("Payment", "refunded") => json!({ "amountMinor": "0", "currencyCode": "EUR" }).into(),
        ("Refund", "made_at_gateway") => json!(false).into(),
        (_, "payment_method") => json!("pm_card_visa").into(),
        (_, "gateway") => json!("stripe").into(),
        ("Payment", "gateway_id") => json!("pi_3SVbN2LkdIwHu7ix0Q1tPzRc").into(),
        ("Refund", "gateway_id") => json!("re_3SVbN2LkdIwHu7ix0mXkYq9d").into(),
        ("Payment" | "Refund", "failure_code" | "failure_message") => Example::Omitted,
        _ => return None,
    })
}
