//! The dashboard.

use serde_json::json;

use super::{
    Case,
    Expected::{Reason, Status},
    call, cases,
};

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "RevenueService.GetRevenue" {
            "months of a time zone" => Status(200), |scene| call(&scene.cast.admin, json!({
                "interval": "REVENUE_INTERVAL_MONTH", "timeZone": "America/New_York", "startDate": "2026-01-31",
                "endDate": "2026-03-01",
            }));
            "what is usual" => Status(200), |scene| call(&scene.cast.admin, json!({}));
            "an unknown time zone" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.admin, json!({ "timeZone": "CEST" }));
            "days that do not exist" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, json!({ "startDate": "2026-02-29", "endDate": "2026-03-01" }))
            };
            "more than a hundred periods" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, json!({ "startDate": "2025-01-01", "endDate": "2026-03-01" }))
            };
            "an agent may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.agent, json!({}));
        }
    }
}
