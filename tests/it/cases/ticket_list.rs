//! Lists and streams of tickets.

use serde_json::json;

use super::{
    Case,
    Ends::{For, With},
    ask, cases,
};
use crate::support::Door;

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "TicketService.ListTickets" {
            "an account's" => With(200), |scene| {
                scene.ticket().await;
                scene.resolved().await;
                ask(&scene.cast.customer, json!({ "accountId": scene.account() }))
            };
            "filtered and ordered" => With(200), |scene| {
                scene.ticket().await;
                scene.resolved().await;
                ask(&scene.cast.agent, json!({
                    "accountId": scene.account(), "statuses": ["TICKET_STATUS_OPEN", "TICKET_STATUS_IN_PROGRESS"],
                    "priorities": ["TICKET_PRIORITY_MEDIUM"], "order": "TICKET_ORDER_PRIORITY_ASC", "query": "printer -ice",
                }))
            };
            "the first of two pages" => With(200), |scene| {
                scene.ticket().await;
                scene.ticket().await;
                ask(&scene.cast.customer, json!({ "pageSize": 1, "readMask": "id" }))
            };
            "the page behind a token" => With(200), |scene| {
                scene.ticket().await;
                scene.ticket().await;
                let page = scene.cast.customer.call(Door::Rest, "TicketService.ListTickets", json!({ "pageSize": 1 })).await;
                ask(&scene.cast.customer, json!({ "pageSize": 1, "pageToken": page.text("/meta/nextPageToken") }))
            };
            "sizes are clamped" => With(200), |scene| ask(&scene.cast.customer, json!({ "page": -3, "pageSize": 100_000 }));
            "too deep for an offset" => For("VALIDATION_FAILED"), |scene| ask(&scene.cast.customer, json!({ "page": 5000, "pageSize": 100 }));
            "an invalid token" => For("VALIDATION_FAILED"), |scene| ask(&scene.cast.customer, json!({ "pageToken": "AAAA" }));
            "a status twice" => For("VALIDATION_FAILED"), |scene| {
                ask(&scene.cast.customer, json!({ "statuses": ["TICKET_STATUS_OPEN", "TICKET_STATUS_OPEN"] }))
            };
        }
        "TicketService.ExportTickets" {
            "an account's" => With(200), |scene| {
                scene.ticket().await;
                scene.resolved().await;
                ask(&scene.cast.customer, json!({ "accountId": scene.account() }))
            };
            "none" => With(200), |scene| ask(&scene.cast.customer, json!({}));
            "an anonymous caller" => For("UNAUTHENTICATED"), |scene| ask(&scene.cast.anonymous, json!({}));
        }
        "ActivityService.ListActivities" {
            "of the caller's own ticket" => With(200), |scene| ask(&scene.cast.customer, json!({ "ticketId": scene.resolved().await }));
            "of another account" => For("NOT_FOUND"), |scene| ask(&scene.cast.stranger, json!({ "ticketId": scene.ticket().await }));
        }
    }
}
