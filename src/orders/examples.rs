//! Example values for the API description.

use mainstay_kernel::http::openapi::examples::Example;
use serde_json::json;

const PRODUCT: &str = "0197a0c1-5b7e-7f02-9d31-2a4c6e8f0b13";
const ORDER: &str = "0197b61a-93d4-7c55-a8e2-6d1f3b5c7e90";
const PAYMENT: &str = "0197b61b-1f60-7a2d-b4c8-0e9d8c7b6a5f";
const CUSTOMER: &str = "0197b5ea-51d0-7f4c-b6d5-93a1c8e0f417";

/// Returns the example of a field, by its message and its name.
pub(super) fn by_name(message: &str, field: &str) -> Option<Example> {
    Some(match (message, field) {
        ("Product", "id") | (_, "product_id") => json!(PRODUCT).into(),
        ("Order", "id") | (_, "order_id") => json!(ORDER).into(),
        ("Order" | "ListOrdersRequest", "number") => json!("1000013").into(),
        (_, "payment_id") => json!(PAYMENT).into(),
        ("CreateProductRequest" | "Product", "billing_interval") => Example::Omitted,
        (_, "billing_interval") => json!("BILLING_INTERVAL_MONTH").into(),
        ("Product" | "CreateProductRequest" | "ProductPatch" | "OrderItem", "name") => json!("Snapshot desk").into(),
        ("Order", "end_time" | "confirmation_email") => Example::Omitted,
        (_, "confirmation_email") => json!("accounting@example.com").into(),
        ("Order", "status") => json!("ORDER_STATUS_PAID").into(),
        ("Order", "total")
        | ("OrderItem", "amount" | "unit_price")
        | ("Product" | "CreateProductRequest" | "ProductPatch", "price") => {
            json!({ "amountMinor": "39900", "currencyCode": "EUR" }).into()
        }
        ("Product" | "ProductPatch", "archived") => json!(false).into(),
        (_, "quantity") => json!(1).into(),
        (_, "pay_time") => json!("2026-03-02T09:41:07Z").into(),
        (_, "placed_by") => json!(CUSTOMER).into(),
        _ => return None,
    })
}
