//! Single tickets.

use serde_json::json;

use super::{
    Case,
    Ends::{For, With},
    ask, cases, draft, file, nothing,
};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = creates();
    cases.extend(reads());
    cases.extend(changes());
    cases.extend(transitions());
    cases
}

fn creates() -> Vec<Case> {
    cases! {
        "TicketService.CreateTicket" {
            "a customer creates one" => With(201), |scene| ask(&scene.cast.customer, json!({
                "subject": "Grüße 🔥", "body": "It \"burns\".\n\tStill.", "kind": "TICKET_KIND_INCIDENT", "tags": ["fire", "printer"],
                "priority": "TICKET_PRIORITY_URGENT", "queue": "Hardware", "language": "de", "accountId": scene.account(),
            }));
            "the caller's account by default" => With(201), |scene| ask(&scene.cast.customer, draft());
            "an agent names the account" => With(201), |scene| ask(&scene.cast.agent, json!({
                "subject": "On the phone", "body": "They called.", "accountId": scene.account(),
            }));
            "an agent names no account" => For("VALIDATION_FAILED"), |scene| ask(&scene.cast.agent, draft());
            "an unknown account" => For("NOT_FOUND"), |scene| ask(&scene.cast.agent, json!({
                "subject": "On the phone", "body": "They called.", "accountId": nothing(),
            }));
            "every field is wrong" => For("VALIDATION_FAILED"), |scene| ask(&scene.cast.customer, json!({
                "subject": "", "body": "x".repeat(20_001), "kind": "TICKET_KIND_UNSPECIFIED", "tags": ["a", "a"],
                "queue": "q".repeat(61), "accountId": "mine",
            }));
            "a NUL character" => For("VALIDATION_FAILED"), |scene| ask(&scene.cast.customer, json!({ "subject": "a\u{0}b", "body": "b" }));
            "a malformed key" => For("MALFORMED_REQUEST"), |scene| {
                ask(&scene.cast.customer, draft()).header("idempotency-key", "two words")
            };
            "the same key again" => With(201), |scene| {
                let asked = ask(&scene.cast.customer, draft()).header("idempotency-key", "again");
                asked.send(crate::support::Door::Grpc, "TicketService.CreateTicket").await.good();
                asked
            };
            "the same key for something else" => For("IDEMPOTENCY_KEY_REUSED"), |scene| {
                let first = ask(&scene.cast.customer, draft()).header("idempotency-key", "again");
                first.send(crate::support::Door::Rest, "TicketService.CreateTicket").await.good();
                ask(&scene.cast.customer, json!({ "subject": "Another", "body": "One" })).header("idempotency-key", "again")
            };
            "one too many" => For("OPEN_TICKET_LIMIT_REACHED"), |scene| {
                for _ in 0..10 {
                    scene.ticket().await;
                }
                ask(&scene.cast.customer, draft())
            };
        }
        "TicketService.BatchCreateTickets" {
            "an agent makes two" => With(201), |scene| {
                let one = json!({ "subject": "One of many", "body": "Text", "accountId": scene.account() });
                ask(&scene.cast.agent, json!({ "tickets": [one, one] }))
            };
            "one is wrong" => For("VALIDATION_FAILED"), |scene| {
                let one = |subject: &str| json!({ "subject": subject, "body": "Text", "accountId": scene.account() });
                ask(&scene.cast.agent, json!({ "tickets": [one("Good"), one("")] }))
            };
            "one account is unknown" => For("NOT_FOUND"), |scene| {
                let one = |account| json!({ "subject": "One", "body": "Text", "accountId": account });
                ask(&scene.cast.agent, json!({ "tickets": [one(scene.account()), one(nothing())] }))
            };
            "an empty batch" => For("VALIDATION_FAILED"), |scene| ask(&scene.cast.agent, json!({ "tickets": [] }));
        }
        "TicketService.ImportTickets" {
            "an agent sends a file" => With(202), |scene| {
                ask(&scene.cast.agent, json!({ "accountId": scene.account(), "file": file("subject,body\nOne,Text\n") }))
            };
            "for an unknown account" => For("NOT_FOUND"), |scene| {
                ask(&scene.cast.agent, json!({ "accountId": nothing(), "file": file("subject,body\nOne,Text\n") }))
            };
        }
    }
}

fn reads() -> Vec<Case> {
    cases! {
        "TicketService.GetTicket" {
            "the caller's own" => With(200), |scene| ask(&scene.cast.customer, json!({ "ticketId": scene.ticket().await }));
            "some of its fields" => With(200), |scene| {
                ask(&scene.cast.customer, json!({ "ticketId": scene.ticket().await, "readMask": "id,subject,createTime" }))
            };
            "an unknown field" => For("VALIDATION_FAILED"), |scene| {
                ask(&scene.cast.customer, json!({ "ticketId": scene.ticket().await, "readMask": "colour" }))
            };
            "another account's" => For("NOT_FOUND"), |scene| ask(&scene.cast.stranger, json!({ "ticketId": scene.ticket().await }));
            "an unknown id" => For("NOT_FOUND"), |scene| ask(&scene.cast.agent, json!({ "ticketId": nothing() }));
            "a malformed id" => For("VALIDATION_FAILED"), |scene| ask(&scene.cast.agent, json!({ "ticketId": "17" }));
            "an anonymous caller" => For("UNAUTHENTICATED"), |scene| ask(&scene.cast.anonymous, json!({ "ticketId": nothing() }));
        }
    }
}

fn changes() -> Vec<Case> {
    cases! {
        "TicketService.UpdateTicket" {
            "the present fields change" => With(200), |scene| ask(&scene.cast.customer, json!({
                "ticketId": scene.ticket().await, "ticket": { "subject": "Another", "tags": ["one"] },
            }));
            "only what the mask names" => With(200), |scene| ask(&scene.cast.customer, json!({
                "ticketId": scene.ticket().await, "ticket": { "subject": "Another", "body": "Not this" }, "updateMask": "subject",
            }));
            "to the same value" => With(200), |scene| ask(&scene.cast.customer, json!({
                "ticketId": scene.ticket().await, "ticket": { "subject": draft()["subject"] },
            }));
            "with the right tag" => With(200), |scene| ask(&scene.cast.customer, json!({
                "ticketId": scene.ticket().await, "ticket": { "queue": "Other" },
            })).header("if-match", "\"1\"");
            "with an old tag" => For("ETAG_MISMATCH"), |scene| ask(&scene.cast.customer, json!({
                "ticketId": scene.ticket().await, "ticket": { "queue": "Other" },
            })).header("if-match", "\"7\"");
            "an empty patch" => For("VALIDATION_FAILED"), |scene| {
                ask(&scene.cast.customer, json!({ "ticketId": scene.ticket().await, "ticket": {} }))
            };
            "an unknown field" => For("VALIDATION_FAILED"), |scene| ask(&scene.cast.customer, json!({
                "ticketId": scene.ticket().await, "ticket": { "subject": "a" }, "updateMask": "colour",
            }));
            "another account's" => For("NOT_FOUND"), |scene| ask(&scene.cast.stranger, json!({
                "ticketId": scene.ticket().await, "ticket": { "subject": "Mine now" },
            }));
        }
        "TicketService.DeleteTicket" {
            "an admin may" => With(204), |scene| ask(&scene.cast.admin, json!({ "ticketId": scene.ticket().await }));
            "a customer may not" => For("PERMISSION_DENIED"), |scene| ask(&scene.cast.customer, json!({ "ticketId": scene.ticket().await }));
            "an unknown id" => For("NOT_FOUND"), |scene| ask(&scene.cast.admin, json!({ "ticketId": nothing() }));
            "with an old tag" => For("ETAG_MISMATCH"), |scene| {
                ask(&scene.cast.admin, json!({ "ticketId": scene.ticket().await })).header("if-match", "\"7\"")
            };
        }
    }
}

fn transitions() -> Vec<Case> {
    cases! {
        "TicketService.ResolveTicket" {
            "the caller's own" => With(200), |scene| ask(&scene.cast.customer, json!({ "ticketId": scene.ticket().await }));
            "a resolved one" => For("BUSINESS_RULE_VIOLATION"), |scene| ask(&scene.cast.customer, json!({ "ticketId": scene.resolved().await }));
            "with an old tag" => For("ETAG_MISMATCH"), |scene| {
                ask(&scene.cast.customer, json!({ "ticketId": scene.resolved().await })).header("if-match", "\"1\"")
            };
        }
        "TicketService.ReopenTicket" {
            "a resolved one" => With(200), |scene| ask(&scene.cast.customer, json!({ "ticketId": scene.resolved().await }));
            "an open one" => For("BUSINESS_RULE_VIOLATION"), |scene| ask(&scene.cast.customer, json!({ "ticketId": scene.ticket().await }));
        }
        "TicketService.AssignTicket" {
            "to an agent" => With(200), |scene| ask(&scene.cast.agent, json!({
                "ticketId": scene.ticket().await, "assigneeId": scene.cast.agent.who().id.to_string(),
            }));
            "to nobody" => With(200), |scene| ask(&scene.cast.agent, json!({ "ticketId": scene.ticket().await }));
            "to a customer" => For("VALIDATION_FAILED"), |scene| ask(&scene.cast.agent, json!({
                "ticketId": scene.ticket().await, "assigneeId": scene.cast.customer.who().id.to_string(),
            }));
            "a resolved one" => For("BUSINESS_RULE_VIOLATION"), |scene| ask(&scene.cast.agent, json!({
                "ticketId": scene.resolved().await, "assigneeId": scene.cast.agent.who().id.to_string(),
            }));
        }
    }
}
