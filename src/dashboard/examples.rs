//! Example values for the API description.

use mainstay_kernel::http::openapi::examples::Example;
use serde_json::json;

/// Returns the example of a field, by its message and its name.
pub(super) fn by_name(message: &str, field: &str) -> Option<Example> {
    Some(match (message, field) {
        (_, "time_zone") => json!("Europe/Berlin").into(),
        (_, "start_date" | "end_date") => json!("2026-03-02").into(),
        ("Revenue" | "RevenuePeriod", "start_time") => json!("2026-03-01T23:00:00Z").into(),
        ("Revenue" | "RevenuePeriod", "end_time") => json!("2026-03-02T23:00:00Z").into(),
        ("Revenue", "as_of_time") => json!("2026-03-02T23:14:07Z").into(),
        ("CurrencyRevenue", "previous_total") | ("RevenuePeriod", "previous") => {
            json!({ "grossMinor": "79800", "refundsMinor": "0", "netMinor": "79800", "saleCount": "2", "refundCount": "0" })
                .into()
        }
        ("CurrencyRevenue", "total") | ("RevenuePeriod", "figures") => {
            json!({ "grossMinor": "119700", "refundsMinor": "39900", "netMinor": "79800", "saleCount": "3", "refundCount": "1" })
                .into()
        }
        _ => return None,
    })
}
