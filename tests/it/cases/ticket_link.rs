//! Links between tickets, and merges.

use serde_json::json;

use super::{
    Case,
    Expected::{Reason, Status},
    Scene, call, cases, ticket, unknown_id,
};

impl Scene {
    /// Creates two tickets of the customer and links them; returns the ids of the first and of the link.
    async fn link(&self) -> (String, String) {
        let (ticket, other) = (self.ticket().await, self.ticket().await);
        let request = json!({ "ticketId": ticket, "otherId": other, "kind": "TICKET_LINK_KIND_BLOCKS" });
        let link = self.cast.agent.rest("TicketLinkService.CreateTicketLink", request).await;
        (ticket, link.success().id())
    }

    /// Creates two tickets of the customer and merges the first into the second; returns the ids of both.
    pub(crate) async fn merged_ticket(&self) -> (String, String) {
        let (ticket, target) = (self.ticket().await, self.ticket().await);
        let request = json!({ "ticketId": ticket, "targetId": target });
        self.cast.agent.rest("TicketService.MergeTicket", request).await.success();
        (ticket, target)
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = merges();
    cases.extend(links());
    cases
}

fn merges() -> Vec<Case> {
    cases! {
        "TicketService.MergeTicket" {
            "into another one" => Status(200), |scene| call(&scene.cast.agent, json!({
                "ticketId": scene.ticket().await, "targetId": scene.ticket().await,
            }));
            "a resolved one" => Status(200), |scene| call(&scene.cast.admin, json!({
                "ticketId": scene.resolved_ticket().await, "targetId": scene.ticket().await,
            }));
            "into the same one again" => Status(200), |scene| {
                let (ticket, target) = scene.merged_ticket().await;
                call(&scene.cast.agent, json!({ "ticketId": ticket, "targetId": target }))
            };
            "into itself" => Reason("VALIDATION_FAILED"), |scene| {
                let ticket = scene.ticket().await;
                call(&scene.cast.agent, json!({ "ticketId": ticket, "targetId": ticket }))
            };
            "into one of another account" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.agent, json!({
                "ticketId": scene.ticket().await, "targetId": ticket(&scene.cast.stranger).await,
            }));
            "into an unknown one" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.agent, json!({ "ticketId": scene.ticket().await, "targetId": unknown_id() }))
            };
            "a merged one into another one" => Reason("TICKET_MERGED"), |scene| {
                let (ticket, _) = scene.merged_ticket().await;
                call(&scene.cast.agent, json!({ "ticketId": ticket, "targetId": scene.ticket().await }))
            };
            "into a merged one" => Reason("TICKET_MERGED"), |scene| {
                let (merged, _) = scene.merged_ticket().await;
                call(&scene.cast.agent, json!({ "ticketId": scene.ticket().await, "targetId": merged }))
            };
            "back" => Reason("TICKET_MERGED"), |scene| {
                let (merged, target) = scene.merged_ticket().await;
                call(&scene.cast.agent, json!({ "ticketId": target, "targetId": merged }))
            };
            "an open one into a resolved one" => Reason("TICKET_RESOLVED"), |scene| call(&scene.cast.agent, json!({
                "ticketId": scene.ticket().await, "targetId": scene.resolved_ticket().await,
            }));
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| call(&scene.cast.agent, json!({
                "ticketId": scene.ticket().await, "targetId": scene.ticket().await,
            })).header("if-match", "\"7\"");
            "a customer may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.customer, json!({
                "ticketId": scene.ticket().await, "targetId": scene.ticket().await,
            }));
        }
        "TicketService.ReopenTicket" {
            "a merged one" => Reason("TICKET_MERGED"), |scene| call(&scene.cast.customer, json!({ "ticketId": scene.merged_ticket().await.0 }));
        }
        "CommentService.CreateComment" {
            "on a merged ticket" => Reason("TICKET_MERGED"), |scene| {
                call(&scene.cast.customer, json!({ "ticketId": scene.merged_ticket().await.0, "body": "Hello?" }))
            };
        }
    }
}

fn links() -> Vec<Case> {
    cases! {
        "TicketLinkService.CreateTicketLink" {
            "to another one" => Status(201), |scene| call(&scene.cast.agent, json!({
                "ticketId": scene.ticket().await, "otherId": scene.ticket().await, "kind": "TICKET_LINK_KIND_DUPLICATE_OF",
            }));
            "to itself" => Reason("VALIDATION_FAILED"), |scene| {
                let ticket = scene.ticket().await;
                call(&scene.cast.agent, json!({ "ticketId": ticket, "otherId": ticket, "kind": "TICKET_LINK_KIND_RELATED" }))
            };
            "of no kind" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.agent, json!({ "ticketId": scene.ticket().await, "otherId": scene.ticket().await }))
            };
            "to one of another account" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.agent, json!({
                "ticketId": scene.ticket().await, "otherId": ticket(&scene.cast.stranger).await, "kind": "TICKET_LINK_KIND_RELATED",
            }));
            "to an unknown one" => Reason("NOT_FOUND"), |scene| call(&scene.cast.agent, json!({
                "ticketId": scene.ticket().await, "otherId": unknown_id(), "kind": "TICKET_LINK_KIND_RELATED",
            }));
            "the other way round" => Reason("ALREADY_EXISTS"), |scene| {
                let (ticket, link) = scene.link().await;
                let get = json!({ "ticketId": ticket, "linkId": link });
                let link = scene.cast.agent.rest("TicketLinkService.GetTicketLink", get).await.success();
                let other = link.text("/data/otherId");
                call(&scene.cast.agent, json!({ "ticketId": other, "otherId": ticket, "kind": "TICKET_LINK_KIND_RELATED" }))
            };
            "a customer may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.customer, json!({
                "ticketId": scene.ticket().await, "otherId": scene.ticket().await, "kind": "TICKET_LINK_KIND_RELATED",
            }));
        }
        "TicketLinkService.GetTicketLink" {
            "of the caller's own ticket" => Status(200), |scene| {
                let (ticket, link) = scene.link().await;
                call(&scene.cast.customer, json!({ "ticketId": ticket, "linkId": link }))
            };
            "of another ticket" => Reason("NOT_FOUND"), |scene| {
                let (_, link) = scene.link().await;
                call(&scene.cast.customer, json!({ "ticketId": scene.ticket().await, "linkId": link }))
            };
            "of another account's ticket" => Reason("NOT_FOUND"), |scene| {
                let (ticket, link) = scene.link().await;
                call(&scene.cast.stranger, json!({ "ticketId": ticket, "linkId": link }))
            };
        }
        "TicketLinkService.ListTicketLinks" {
            "of the caller's own ticket" => Status(200), |scene| call(&scene.cast.customer, json!({ "ticketId": scene.link().await.0 }));
            "of another account's ticket" => Reason("NOT_FOUND"), |scene| call(&scene.cast.stranger, json!({ "ticketId": scene.link().await.0 }));
        }
        "TicketLinkService.DeleteTicketLink" {
            "of a ticket" => Status(204), |scene| {
                let (ticket, link) = scene.link().await;
                call(&scene.cast.agent, json!({ "ticketId": ticket, "linkId": link }))
            };
            "a customer may not" => Reason("PERMISSION_DENIED"), |scene| {
                let (ticket, link) = scene.link().await;
                call(&scene.cast.customer, json!({ "ticketId": ticket, "linkId": link }))
            };
            "an unknown id" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.agent, json!({ "ticketId": scene.ticket().await, "linkId": unknown_id() }))
            };
        }
    }
}
