//! Single tickets.

use serde_json::{Value, json};

use super::{
    Case,
    Expected::{Reason, Status},
    call, cases, draft, file,
    file::{announce, image, upload},
    ticket, unknown_id,
};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = creates();
    cases.extend(reads());
    cases.extend(changes());
    cases.extend(transitions());
    cases
}

/// A request that names files to attach.
pub(crate) fn with_files(mut request: Value, files: &[String]) -> Value {
    request["attachmentIds"] = files.into();
    request
}

fn creates() -> Vec<Case> {
    cases! {
        "TicketService.CreateTicket" {
            "a customer creates one" => Status(201), |scene| call(&scene.cast.customer, json!({
                "subject": "Grüße 🔥", "body": "It \"burns\".\n\tStill.", "kind": "TICKET_KIND_INCIDENT", "tags": ["fire", "printer"],
                "priority": "TICKET_PRIORITY_URGENT", "queue": "Hardware", "language": "de", "accountId": scene.account(),
            }));
            "with a file" => Status(201), |scene| {
                let file = upload(&scene.cast.customer).await;
                call(&scene.cast.customer, with_files(draft(), &[file]))
            };
            "with a file that is not uploaded" => Reason("VALIDATION_FAILED"), |scene| {
                let file = announce(&scene.cast.customer).await;
                call(&scene.cast.customer, with_files(draft(), &[file]))
            };
            "with an image for posts" => Reason("VALIDATION_FAILED"), |scene| {
                let file = image(&scene.cast.customer).await;
                call(&scene.cast.customer, with_files(draft(), &[file]))
            };
            "with too many files" => Reason("VALIDATION_FAILED"), |scene| {
                let files: Vec<_> = (0..11).map(|_| unknown_id()).collect();
                call(&scene.cast.customer, with_files(draft(), &files))
            };
            "with a stranger's file" => Reason("NOT_FOUND"), |scene| {
                let file = upload(&scene.cast.stranger).await;
                call(&scene.cast.customer, with_files(draft(), &[file]))
            };
            "with an unknown file" => Reason("NOT_FOUND"), |scene| call(&scene.cast.agent, json!({
                "subject": "On the phone", "body": "They called.", "accountId": scene.account(), "attachmentIds": [unknown_id()],
            }));
            "the caller's account by default" => Status(201), |scene| call(&scene.cast.customer, draft());
            "an agent names the account" => Status(201), |scene| call(&scene.cast.agent, json!({
                "subject": "On the phone", "body": "They called.", "accountId": scene.account(),
            }));
            "an agent names no account" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.agent, draft());
            "an unknown account" => Reason("NOT_FOUND"), |scene| call(&scene.cast.agent, json!({
                "subject": "On the phone", "body": "They called.", "accountId": unknown_id(),
            }));
            "every field is wrong" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.customer, json!({
                "subject": "", "body": "x".repeat(20_001), "kind": "TICKET_KIND_UNSPECIFIED", "tags": ["a", "a"],
                "queue": "q".repeat(61), "accountId": "mine",
            }));
            "undeclared values" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.customer, json!({
                "subject": "", "body": "Text", "kind": 5, "priority": -1,
            }));
            "a NUL character" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.customer, json!({ "subject": "a\u{0}b", "body": "b" }));
            "a malformed key" => Reason("MALFORMED_REQUEST"), |scene| {
                call(&scene.cast.customer, draft()).header("idempotency-key", "two words")
            };
            "the same key again" => Status(201), |scene| {
                let call = call(&scene.cast.customer, draft()).header("idempotency-key", "again");
                call.send(crate::support::Protocol::Grpc, "TicketService.CreateTicket").await.success();
                call
            };
            "the same key for something else" => Reason("IDEMPOTENCY_KEY_REUSED"), |scene| {
                let first = call(&scene.cast.customer, draft()).header("idempotency-key", "again");
                first.send(crate::support::Protocol::Rest, "TicketService.CreateTicket").await.success();
                call(&scene.cast.customer, json!({ "subject": "Another", "body": "One" })).header("idempotency-key", "again")
            };
            "in no language" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.customer, json!({ "subject": "A", "body": "Text", "language": "!!" }))
            };
            "one too many" => Reason("OPEN_TICKET_LIMIT_REACHED"), |scene| {
                for _ in 0..10 {
                    scene.ticket().await;
                }
                call(&scene.cast.customer, draft())
            };
        }
        "TicketService.BatchCreateTickets" {
            "an agent makes two" => Status(201), |scene| {
                let one = json!({ "subject": "One of many", "body": "Text", "accountId": scene.account() });
                call(&scene.cast.agent, json!({ "tickets": [one, one] }))
            };
            "one is wrong" => Reason("VALIDATION_FAILED"), |scene| {
                let one = |subject: &str| json!({ "subject": subject, "body": "Text", "accountId": scene.account() });
                call(&scene.cast.agent, json!({ "tickets": [one("Good"), one("")] }))
            };
            "one is in no language" => Reason("VALIDATION_FAILED"), |scene| {
                let one = |language: &str| json!({ "subject": "One", "body": "Text", "accountId": scene.account(), "language": language });
                call(&scene.cast.agent, json!({ "tickets": [one("de"), one("de-a")] }))
            };
            "one account is unknown" => Reason("NOT_FOUND"), |scene| {
                let one = |account| json!({ "subject": "One", "body": "Text", "accountId": account });
                call(&scene.cast.agent, json!({ "tickets": [one(scene.account()), one(unknown_id())] }))
            };
            "an empty batch" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.agent, json!({ "tickets": [] }));
        }
        "TicketService.BulkChangeTickets" {
            "an agent resolves two" => Status(202), |scene| {
                let ids = [scene.ticket().await, scene.ticket().await];
                call(&scene.cast.agent, json!({ "ids": ids, "action": "TICKET_BULK_ACTION_RESOLVE" }))
            };
            "a preview of those in a queue" => Status(200), |scene| {
                scene.ticket().await;
                let patch = json!({ "queue": "Billing", "addTags": ["storm"] });
                let filter = json!({ "queues": ["General Inquiry"], "accountId": scene.account() });
                let action = "TICKET_BULK_ACTION_UPDATE";
                call(&scene.cast.agent, json!({ "filter": filter, "action": action, "patch": patch, "validateOnly": true }))
            };
            "neither ids nor a filter" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.agent, json!({ "action": "TICKET_BULK_ACTION_RESOLVE" }))
            };
            "a deletion by an agent" => Reason("PERMISSION_DENIED"), |scene| {
                call(&scene.cast.agent, json!({ "ids": [unknown_id()], "action": "TICKET_BULK_ACTION_DELETE" }))
            };
        }
        "TicketService.UndoBulkChange" {
            "the caller's own" => Status(202), |scene| {
                let request = json!({ "ids": [scene.ticket().await], "action": "TICKET_BULK_ACTION_RESOLVE" });
                let id = scene.cast.agent.rest("TicketService.BulkChangeTickets", request).await.success().id();
                // As after its end.
                let end = format!(
                    "DELETE FROM jobs WHERE payload ->> 'operation' = '{id}';
                     UPDATE operations SET state = 3, finished_at = now() WHERE id = '{id}';
                     UPDATE changed_tickets SET outcome = 1, version = 2, status = 1, kind = 2, priority = 2, queue = 'Other',
                         tags = '{{}}' WHERE operation_id = '{id}'"
                );
                scene.database.sql(&end).await;
                call(&scene.cast.agent, json!({ "operationId": id }))
            };
            "one that has not ended" => Reason("BULK_CHANGE_FINAL"), |scene| {
                let request = json!({ "ids": [scene.ticket().await], "action": "TICKET_BULK_ACTION_RESOLVE" });
                let id = scene.cast.agent.rest("TicketService.BulkChangeTickets", request).await.success().id();
                call(&scene.cast.agent, json!({ "operationId": id }))
            };
            "an import" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.agent, json!({ "operationId": scene.operation().await }))
            };
        }
        "TicketService.ImportTickets" {
            "an agent sends a file" => Status(202), |scene| {
                call(&scene.cast.agent, json!({ "accountId": scene.account(), "file": file("subject,body\nOne,Text\n") }))
            };
            "for an unknown account" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.agent, json!({ "accountId": unknown_id(), "file": file("subject,body\nOne,Text\n") }))
            };
        }
    }
}

fn reads() -> Vec<Case> {
    cases! {
        "TicketService.GetTicketLabels" {
            "an agent" => Status(200), |scene| {
                scene.ticket().await;
                call(&scene.cast.agent, json!({}))
            };
            "a customer may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.customer, json!({}));
        }
        "TicketService.BatchGetTickets" {
            "the caller's own" => Status(200), |scene| {
                let (first, second) = (scene.ticket().await, scene.ticket().await);
                call(&scene.cast.customer, json!({ "ids": [second, first, second] }))
            };
            "some of their fields" => Status(200), |scene| {
                call(&scene.cast.agent, json!({ "ids": [scene.ticket().await], "readMask": "id,tags" }))
            };
            "one of another account" => Reason("NOT_FOUND"), |scene| {
                let (own, other) = (ticket(&scene.cast.stranger).await, scene.ticket().await);
                call(&scene.cast.stranger, json!({ "ids": [own, other] }))
            };
            "an unknown one" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.agent, json!({ "ids": [scene.ticket().await, unknown_id()] }))
            };
            "none" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.agent, json!({ "ids": [] }));
            "too many" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.agent, json!({ "ids": vec![unknown_id(); 101] }))
            };
            "a malformed id" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.agent, json!({ "ids": ["17"] }));
        }
        "TicketService.GetTicket" {
            "the caller's own" => Status(200), |scene| call(&scene.cast.customer, json!({ "ticketId": scene.ticket().await }));
            "some of its fields" => Status(200), |scene| {
                call(&scene.cast.customer, json!({ "ticketId": scene.ticket().await, "readMask": "id,subject,createTime" }))
            };
            "with what belongs to it" => Status(200), |scene| {
                let ticket = scene.ticket().await;
                scene.comment(&ticket).await;
                call(&scene.cast.customer, json!({ "ticketId": ticket, "include": "comments,activities,requester" }))
            };
            "what can't be included" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.customer, json!({ "ticketId": scene.ticket().await, "include": "comments,colour" }))
            };
            "an unknown field" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.customer, json!({ "ticketId": scene.ticket().await, "readMask": "colour" }))
            };
            "another account's" => Reason("NOT_FOUND"), |scene| call(&scene.cast.stranger, json!({ "ticketId": scene.ticket().await }));
            "an unknown id" => Reason("NOT_FOUND"), |scene| call(&scene.cast.agent, json!({ "ticketId": unknown_id() }));
            "a malformed id" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.agent, json!({ "ticketId": "17" }));
            "an anonymous caller" => Reason("UNAUTHENTICATED"), |scene| call(&scene.cast.anonymous, json!({ "ticketId": unknown_id() }));
        }
    }
}

fn changes() -> Vec<Case> {
    cases! {
        "TicketService.UpdateTicket" {
            "the present fields change" => Status(200), |scene| call(&scene.cast.customer, json!({
                "ticketId": scene.ticket().await, "ticket": { "subject": "Another", "tags": ["one"] },
            }));
            "only what the mask names" => Status(200), |scene| call(&scene.cast.customer, json!({
                "ticketId": scene.ticket().await, "ticket": { "subject": "Another", "body": "Not this" }, "updateMask": "subject",
            }));
            "to the same value" => Status(200), |scene| call(&scene.cast.customer, json!({
                "ticketId": scene.ticket().await, "ticket": { "subject": draft()["subject"] },
            }));
            "to no language" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.customer, json!({
                "ticketId": scene.ticket().await, "ticket": { "language": "de-a" },
            }));
            "a file" => Status(200), |scene| {
                let file = upload(&scene.cast.colleague).await;
                call(&scene.cast.customer, json!({ "ticketId": scene.ticket().await, "ticket": with_files(json!({}), &[file]) }))
            };
            "a stranger's file" => Reason("NOT_FOUND"), |scene| {
                let file = upload(&scene.cast.stranger).await;
                call(&scene.cast.customer, json!({ "ticketId": scene.ticket().await, "ticket": with_files(json!({}), &[file]) }))
            };
            "an image for posts" => Reason("VALIDATION_FAILED"), |scene| {
                let file = image(&scene.cast.customer).await;
                call(&scene.cast.customer, json!({ "ticketId": scene.ticket().await, "ticket": with_files(json!({}), &[file]) }))
            };
            "with the right tag" => Status(200), |scene| call(&scene.cast.customer, json!({
                "ticketId": scene.ticket().await, "ticket": { "queue": "Other" },
            })).header("if-match", "\"1\"");
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| call(&scene.cast.customer, json!({
                "ticketId": scene.ticket().await, "ticket": { "queue": "Other" },
            })).header("if-match", "\"7\"");
            "a merged one" => Reason("TICKET_MERGED"), |scene| call(&scene.cast.customer, json!({
                "ticketId": scene.merged_ticket().await.0, "ticket": { "body": "More smoke." },
            }));
            "an empty patch" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.customer, json!({ "ticketId": scene.ticket().await, "ticket": {} }))
            };
            "an unknown field" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.customer, json!({
                "ticketId": scene.ticket().await, "ticket": { "subject": "a" }, "updateMask": "colour",
            }));
            "another account's" => Reason("NOT_FOUND"), |scene| call(&scene.cast.stranger, json!({
                "ticketId": scene.ticket().await, "ticket": { "subject": "Mine now" },
            }));
        }
        "TicketService.DeleteTicket" {
            "an admin may" => Status(204), |scene| call(&scene.cast.admin, json!({ "ticketId": scene.ticket().await }));
            "a customer may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.customer, json!({ "ticketId": scene.ticket().await }));
            "an unknown id" => Reason("NOT_FOUND"), |scene| call(&scene.cast.admin, json!({ "ticketId": unknown_id() }));
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| {
                call(&scene.cast.admin, json!({ "ticketId": scene.ticket().await })).header("if-match", "\"7\"")
            };
        }
    }
}

fn transitions() -> Vec<Case> {
    cases! {
        "TicketService.ResolveTicket" {
            "the caller's own" => Status(200), |scene| call(&scene.cast.customer, json!({ "ticketId": scene.ticket().await }));
            "a resolved one" => Reason("TICKET_RESOLVED"), |scene| call(&scene.cast.customer, json!({ "ticketId": scene.resolved_ticket().await }));
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| {
                call(&scene.cast.customer, json!({ "ticketId": scene.resolved_ticket().await })).header("if-match", "\"1\"")
            };
        }
        "TicketService.ReopenTicket" {
            "a resolved one" => Status(200), |scene| call(&scene.cast.customer, json!({ "ticketId": scene.resolved_ticket().await }));
            "an open one" => Reason("TICKET_NOT_RESOLVED"), |scene| call(&scene.cast.customer, json!({ "ticketId": scene.ticket().await }));
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| {
                call(&scene.cast.customer, json!({ "ticketId": scene.resolved_ticket().await })).header("if-match", "\"1\"")
            };
        }
        "TicketService.AssignTicket" {
            "to an agent" => Status(200), |scene| call(&scene.cast.agent, json!({
                "ticketId": scene.ticket().await, "assigneeId": scene.cast.agent.as_user().id.to_string(),
            }));
            "without an assignee" => Status(200), |scene| call(&scene.cast.agent, json!({ "ticketId": scene.ticket().await }));
            "to a customer" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.agent, json!({
                "ticketId": scene.ticket().await, "assigneeId": scene.cast.customer.as_user().id.to_string(),
            }));
            "a resolved one" => Reason("TICKET_RESOLVED"), |scene| call(&scene.cast.agent, json!({
                "ticketId": scene.resolved_ticket().await, "assigneeId": scene.cast.agent.as_user().id.to_string(),
            }));
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| call(&scene.cast.agent, json!({
                "ticketId": scene.ticket().await, "assigneeId": scene.cast.agent.as_user().id.to_string(),
            })).header("if-match", "\"7\"");
        }
    }
}
