//! Lists and streams of tickets.

use serde_json::json;

use super::{
    Case,
    Expected::{Reason, Status},
    call, cases,
};

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "TicketService.ListTickets" {
            "an account's" => Status(200), |scene| {
                scene.ticket().await;
                scene.resolved_ticket().await;
                call(&scene.cast.customer, json!({ "accountId": scene.account() }))
            };
            "filtered and ordered" => Status(200), |scene| {
                scene.ticket().await;
                scene.resolved_ticket().await;
                call(&scene.cast.agent, json!({
                    "accountId": scene.account(), "statuses": ["TICKET_STATUS_OPEN", "TICKET_STATUS_IN_PROGRESS"],
                    "priorities": ["TICKET_PRIORITY_MEDIUM"], "order": "TICKET_ORDER_PRIORITY_ASC", "query": "printer -ice",
                }))
            };
            "the first of two pages" => Status(200), |scene| {
                scene.ticket().await;
                scene.ticket().await;
                call(&scene.cast.customer, json!({ "pageSize": 1, "readMask": "id", "include": "comments" }))
            };
            "the page after a token" => Status(200), |scene| {
                scene.ticket().await;
                scene.ticket().await;
                let page = scene.cast.customer.rest("TicketService.ListTickets", json!({ "pageSize": 1 })).await;
                call(&scene.cast.customer, json!({ "pageSize": 1, "pageToken": page.text("/meta/nextPageToken") }))
            };
            "sizes are clamped" => Status(200), |scene| call(&scene.cast.customer, json!({ "page": -3, "pageSize": 100_000 }));
            "too deep for an offset" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.customer, json!({ "page": 5000, "pageSize": 100 }));
            "an invalid token" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.customer, json!({ "pageToken": "AAAA" }));
            "a status twice" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.customer, json!({ "statuses": ["TICKET_STATUS_OPEN", "TICKET_STATUS_OPEN"] }))
            };
        }
        "TicketService.ExportTickets" {
            "an account's" => Status(200), |scene| {
                scene.ticket().await;
                scene.resolved_ticket().await;
                call(&scene.cast.customer, json!({ "accountId": scene.account() }))
            };
            "none" => Status(200), |scene| call(&scene.cast.customer, json!({}));
            "an anonymous caller" => Reason("UNAUTHENTICATED"), |scene| call(&scene.cast.anonymous, json!({}));
        }
        "TicketService.ExportTicketsCsv" {
            "an account's" => Status(200), |scene| {
                scene.ticket().await;
                scene.resolved_ticket().await;
                call(&scene.cast.customer, json!({ "accountId": scene.account() }))
            };
            "none" => Status(200), |scene| call(&scene.cast.customer, json!({}));
            "a status twice" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.customer, json!({ "statuses": ["TICKET_STATUS_OPEN", "TICKET_STATUS_OPEN"] }))
            };
            "an anonymous caller" => Reason("UNAUTHENTICATED"), |scene| call(&scene.cast.anonymous, json!({}));
        }
        "TicketService.WatchTickets" {
            "for a second" => Status(200), |scene| call(&scene.cast.customer, json!({})).header("x-request-timeout", "1");
            "a token of something else" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.customer, json!({ "resumeToken": "AAAA" })).header("x-request-timeout", "1")
            };
            "an anonymous caller" => Reason("UNAUTHENTICATED"), |scene| call(&scene.cast.anonymous, json!({}));
        }
        "ActivityService.ListActivities" {
            "of the caller's own ticket" => Status(200), |scene| call(&scene.cast.customer, json!({ "ticketId": scene.resolved_ticket().await }));
            "of another account" => Reason("NOT_FOUND"), |scene| call(&scene.cast.stranger, json!({ "ticketId": scene.ticket().await }));
        }
    }
}
