//! The audit log.

use serde_json::json;

use super::{
    Case,
    Expected::{Reason, Status},
    call, cases, ticket, unknown_id,
};

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "AuditService.ListAuditEntries" {
            "of a ticket" => Status(200), |scene| {
                let id = ticket(&scene.cast.customer).await;
                call(&scene.cast.customer, json!({ "resourceKind": "support.ticket", "resourceId": id }))
            };
            "by everything" => Status(200), |scene| {
                let request = json!({
                    "actorId": scene.cast.customer.as_user().id.to_string(),
                    "accountId": scene.cast.customer.as_user().account.to_string(),
                    "resourceKind": "support.ticket", "resourceId": unknown_id(),
                    "method": "TicketService.CreateTicket",
                    "startTime": "2026-01-01T00:00:00Z", "endTime": "2100-01-01T00:00:00Z",
                });
                call(&scene.cast.admin, request)
            };
            "a kind without an id" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, json!({ "resourceKind": "support.ticket" }))
            };
        }
        "AuditService.ExportAuditEntries" {
            "of an account" => Status(200), |scene| {
                ticket(&scene.cast.customer).await;
                call(&scene.cast.customer, json!({ "method": "TicketService.CreateTicket" }))
            };
            "a kind without an id" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, json!({ "resourceKind": "support.ticket" }))
            };
        }
    }
}
