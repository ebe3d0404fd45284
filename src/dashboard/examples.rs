//! Example values for the API description.

use mainstay_kernel::http::openapi::examples::Example;
use serde_json::json;

/// Returns the example of a field, by its message and its name.
pub(super) fn by_name(message: &str, field: &str) -> Option<Example> {
    Some(match (message, field) {
        ("TicketOverview" | "SalesOverview" | "SignInOverview" | "WorkOverview" | "Tile", "as_of_time") => {
            json!("2026-03-02T08:15:30Z").into()
        }
        ("SalesOverview", "oldest_pending_time") | ("TicketAge", "until_seconds") => Example::Omitted,
        (_, "days") => json!(7).into(),
        ("TicketAge", "from_seconds") => json!("604800").into(),
        (_, "agent_id") => json!("0197b5ea-51d0-7f4c-b6d5-93a1c8e0f417").into(),
        (_, "median_ms") => json!("2520000").into(),
        (_, "ninth_decile_ms") => json!("14400000").into(),
        (_, "ticket_count" | "order_count" | "payment_count" | "resolved_count" | "delivered_count") => {
            json!("42").into()
        }
        ("SignInHour", "start_time") => json!("2026-03-02T08:00:00Z").into(),
        (_, "accepted_count") => json!("42").into(),
        (_, "refused_count") => json!("3").into(),
        (_, "in_progress_count") => json!("5").into(),
        (_, "due_count" | "pending_delivery_count") => json!("3").into(),
        (_, "oldest_due_ms") => json!("180").into(),
        (_, "dead_job_count" | "failed_delivery_count" | "disabled_endpoint_count") => json!("0").into(),
        ("LaneDepth", "lane") => json!("shared").into(),
        (_, "time_zone") => json!("Europe/Berlin").into(),
        (_, "start_date" | "end_date") => json!("2026-03-02").into(),
        ("Revenue" | "RevenuePeriod", "start_time") => json!("2026-03-01T23:00:00Z").into(),
        ("Revenue" | "RevenuePeriod", "end_time") => json!("2026-03-02T23:00:00Z").into(),
        ("Revenue", "as_of_time") => json!("2026-03-02T23:14:07Z").into(),
        ("CurrencyRevenue", "previous_total") | ("RevenuePeriod", "previous") => {
            figures(("79800", "0", "79800"), ("2", "0"))
        }
        ("CurrencyRevenue", "total") | ("RevenuePeriod", "figures") => {
            figures(("119700", "39900", "79800"), ("3", "1"))
        }
        ("SystemLog", "id") => json!("0197b61c-2a44-7d19-8f02-5b6c7d8e9fa0").into(),
        ("SystemLog", "level") => json!("SYSTEM_LOG_LEVEL_INFO").into(),
        ("SystemLog", "message") => json!("request completed").into(),
        ("SystemLog" | "ListSystemLogsRequest", "method") => json!("TicketService.CreateTicket").into(),
        (_, "principal_id") => json!("0197b5ea-51d0-7f4c-b6d5-93a1c8e0f417").into(),
        ("SystemLog", "line") => json!(
            r#"{"timestamp":"2026-03-02T08:15:30.123456Z","level":"INFO","message":"request completed","status":201}"#
        )
        .into(),
        ("ListSystemLogsRequest", "level") => json!("SYSTEM_LOG_LEVEL_WARNING").into(),
        ("ListSystemLogsRequest", "end_time") => json!("2026-03-02T09:15:30Z").into(),
        ("ListSystemLogsRequest", "text") => json!("circuit").into(),
        ("DeprecatedMethod", "method") => json!("fleet.v1.VehicleService/GetVehicle").into(),
        ("DeprecatedMethod", "deprecation_time") => json!("2026-11-01T00:00:00Z").into(),
        ("DeprecatedMethod", "sunset_time") => json!("2027-05-01T00:00:00Z").into(),
        ("DeprecatedMethod", "link") => json!("https://example.com/docs/vehicles-v2").into(),
        ("DeprecatedMethod", "caller_count") => json!(1).into(),
        ("DeprecatedCaller", "kind") => json!("DEPRECATED_CALLER_KIND_SERVICE").into(),
        ("DeprecatedCaller", "call_count") => json!("42").into(),
        ("DeprecatedCaller", "first_call_time") => json!("2026-11-02T08:15:30Z").into(),
        ("DeprecatedCaller", "last_call_time") => json!("2026-11-26T08:15:30Z").into(),
        ("Setting", "name") => json!("DATABASE_URL").into(),
        ("Setting", "value") => json!("postgres://…@db.example.com:5432/mainstay").into(),
        ("Setting", "source") => json!("SETTING_SOURCE_ENVIRONMENT").into(),
        ("Setting", "secret") => json!(true).into(),
        ("Setting", "meaning") => json!("Postgres; if absent, a private one is started").into(),
        ("Tile", "name") => json!("dashboard.dead_jobs").into(),
        ("Tile", "title") => json!("Dead jobs").into(),
        ("Tile", "link") => json!("/queue").into(),
        ("Tile", "alarming") => json!(true).into(),
        ("Tile", "number_is_lower_bound") => json!(false).into(),
        ("Tile", "number") => json!("3").into(),
        ("Tile", "money" | "rate" | "rows" | "failure") => Example::Omitted,
        ("TileRow", "label") => json!("Leased").into(),
        ("TileRow", "number") => json!("7").into(),
        ("SystemLogsMeta", "degraded") => Example::Omitted,
        _ => return None,
    })
}

fn figures((gross, refunds, net): (&str, &str, &str), (sales, refund_count): (&str, &str)) -> Example {
    let euro = |minor: &str| json!({ "amountMinor": minor, "currencyCode": "EUR" });
    json!({
        "gross": euro(gross), "refunds": euro(refunds), "net": euro(net), "saleCount": sales, "refundCount": refund_count,
    })
    .into()
}
