//! The dashboard.

use serde_json::json;

use super::{
    Case,
    Expected::{Reason, Status},
    Scene, call, cases,
};
use crate::support::unique;

/// Stores three lines of a request; returns its id.
async fn lines(scene: &Scene) -> String {
    let id = unique();
    let insert = format!(
        "INSERT INTO system_logs (slot, id, logged_at, level, message, method, request_id, principal_id, line)
         SELECT 0, gen_random_uuid(), '2026-03-02T08:15:30Z'::timestamptz + n * interval '1 second', n, 'request completed',
             'TicketService.GetTicket', '{id}', '{}', '{{\"message\":\"request completed\",\"text\":\"100% ' || n || '\"}}'
         FROM generate_series(1, 3) AS n",
        scene.cast.customer.as_user().id
    );
    scene.database.sql(&insert).await;
    id
}

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "OverviewService.GetTicketOverview" {
            "an agent may" => Status(200), |scene| call(&scene.cast.agent, json!({ "days": 1 }));
            "more than a month" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.agent, json!({ "days": 32 }));
            "a customer may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.customer, json!({}));
        }
        "OverviewService.WatchTicketOverview" {
            "for a second" => Status(200), |scene| {
                call(&scene.cast.agent, json!({ "days": 1 })).header("x-request-timeout", "1")
            };
            "more than a month" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.agent, json!({ "days": 32 }));
            "a customer may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.customer, json!({}));
        }
        "OverviewService.GetSalesOverview" {
            "an admin may" => Status(200), |scene| call(&scene.cast.admin, json!({ "days": 31 }));
            "days to come" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.admin, json!({ "days": -1 }));
            "an agent may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.agent, json!({}));
        }
        "OverviewService.GetSignInOverview" {
            "an admin may" => Status(200), |scene| call(&scene.cast.admin, json!({ "days": 1 }));
            "more than a month" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.admin, json!({ "days": 32 }));
            "an agent may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.agent, json!({}));
        }
        "OverviewService.GetWorkOverview" {
            "an admin may" => Status(200), |scene| call(&scene.cast.admin, json!({}));
            "an agent may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.agent, json!({}));
        }
        "DeprecatedMethodService.GetDeprecatedMethods" {
            "an admin may" => Status(200), |scene| call(&scene.cast.admin, json!({}));
            "an agent may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.agent, json!({}));
        }
        "TileService.GetTiles" {
            "an agent may" => Status(200), |scene| call(&scene.cast.agent, json!({}));
            "a customer may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.customer, json!({}));
        }
        "SettingService.GetSettings" {
            "an admin may" => Status(200), |scene| call(&scene.cast.admin, json!({}));
            "an agent may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.agent, json!({}));
        }
        "SystemLogService.ListSystemLogs" {
            "of a request" => Status(200), |scene| call(&scene.cast.admin, json!({ "requestId": lines(&scene).await }));
            "by everything" => Status(200), |scene| {
                let id = lines(&scene).await;
                call(&scene.cast.admin, json!({
                    "requestId": id, "level": "SYSTEM_LOG_LEVEL_WARNING", "method": "TicketService.GetTicket", "text": "100% ",
                    "principalId": scene.cast.customer.as_user().id.to_string(), "startTime": "2026-03-02T08:15:31Z",
                    "endTime": "2026-03-02T08:15:33Z",
                }))
            };
            "the second page" => Status(200), |scene| {
                let mut request = json!({ "requestId": lines(&scene).await, "pageSize": 2 });
                let page = scene.cast.admin.rest("SystemLogService.ListSystemLogs", request.clone()).await;
                request["pageToken"] = page.text("/meta/nextPageToken").into();
                call(&scene.cast.admin, request)
            };
            "an invalid token" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.admin, json!({ "pageToken": "AAAA" }));
            "an end before the start" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, json!({ "startTime": "2026-03-02T08:15:31Z", "endTime": "2026-03-02T08:15:31Z" }))
            };
            "an agent may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.agent, json!({}));
        }
        "SystemLogService.WatchSystemLogs" {
            "for a second" => Status(200), |scene| call(&scene.cast.admin, json!({})).header("x-request-timeout", "1");
            "a token of something else" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, json!({ "resumeToken": "AAAA" })).header("x-request-timeout", "1")
            };
            "an agent may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.agent, json!({}));
        }
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
