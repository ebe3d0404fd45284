//! Example values for the API description.

use mainstay_kernel::http::openapi::examples::Example;
use serde_json::json;

const SUBSCRIPTION: &str = "0197b61c-2d84-7c19-9b3e-5f4a3c2b1d0e";
const PRODUCT: &str = "0197a0c1-5b7e-7f02-9d31-2a4c6e8f0b13";

/// Returns the example of a field, by its message and its name.
pub(super) fn by_name(message: &str, field: &str) -> Option<Example> {
    Some(match (message, field) {
        ("Subscription", "id") | (_, "subscription_id") => json!(SUBSCRIPTION).into(),
        (_, "product_id") => json!(PRODUCT).into(),
        ("Subscription", "status") => json!("SUBSCRIPTION_STATUS_ACTIVE").into(),
        (_, "gateway") => json!("stripe").into(),
        ("Subscription", "gateway_id") => json!("sub_1SVbN2LkdIwHu7ixQm8WcT4k").into(),
        ("Subscription", "period_start_time") => json!("2026-03-02T08:15:31Z").into(),
        ("Subscription", "period_end_time") => json!("2026-04-02T08:15:31Z").into(),
        ("Subscription", "product_name") => json!("Snapshot desk, rented").into(),
        ("Subscription", "price") => json!({ "amountMinor": "1900", "currencyCode": "EUR" }).into(),
        (_, "billing_interval") => json!("BILLING_INTERVAL_MONTH").into(),
        ("Subscription", "cancel_at_period_end") | (_, "at_period_end") => json!(false).into(),
        (_, "payment_method") => json!("pm_card_visa").into(),
        ("Subscription", "cancel_time" | "pending_cancellation" | "failure_code" | "failure_message") => {
            Example::Omitted
        }
        _ => return None,
    })
}
