//! Comments.

use serde_json::{Value, json};

use super::{
    Case,
    Expected::{Reason, Status},
    call, cases,
    file::{announce, image, upload},
    ticket::with_files,
    unknown_id,
};

/// A request for an internal comment.
fn internal(ticket: &str, files: &[String]) -> Value {
    with_files(json!({ "ticketId": ticket, "body": "They are late with paying.", "internal": true }), files)
}

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "CommentService.CreateComment" {
            "on the caller's own ticket" => Status(201), |scene| {
                call(&scene.cast.customer, json!({ "ticketId": scene.ticket().await, "body": "More smoke." }))
            };
            "with a file" => Status(201), |scene| {
                let request = json!({ "ticketId": scene.ticket().await, "body": "A photo." });
                let file = upload(&scene.cast.colleague).await;
                call(&scene.cast.customer, with_files(request, &[file]))
            };
            "with a stranger's file" => Reason("NOT_FOUND"), |scene| {
                let request = json!({ "ticketId": scene.ticket().await, "body": "A photo." });
                let file = upload(&scene.cast.stranger).await;
                call(&scene.cast.customer, with_files(request, &[file]))
            };
            "with a file that is not uploaded" => Reason("VALIDATION_FAILED"), |scene| {
                let request = json!({ "ticketId": scene.ticket().await, "body": "A photo." });
                let file = announce(&scene.cast.customer).await;
                call(&scene.cast.customer, with_files(request, &[file]))
            };
            "an internal one of staff" => Status(201), |scene| call(&scene.cast.agent, internal(&scene.ticket().await, &[]));
            "an internal one of a customer" => Reason("PERMISSION_DENIED"), |scene| {
                call(&scene.cast.customer, internal(&scene.ticket().await, &[]))
            };
            "an internal one with a file of staff" => Status(201), |scene| {
                let file = upload(&scene.cast.agent).await;
                call(&scene.cast.agent, internal(&scene.ticket().await, &[file]))
            };
            "an internal one with a file of another customer" => Reason("VALIDATION_FAILED"), |scene| {
                let file = upload(&scene.cast.stranger).await;
                call(&scene.cast.agent, internal(&scene.ticket().await, &[file]))
            };
            "an internal one with a file that the customer sees" => Reason("VALIDATION_FAILED"), |scene| {
                let file = upload(&scene.cast.customer).await;
                call(&scene.cast.agent, internal(&scene.ticket().await, &[file]))
            };
            "an empty one" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.customer, json!({ "ticketId": scene.ticket().await, "body": "" }));
            "on another account's ticket" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.stranger, json!({ "ticketId": scene.ticket().await, "body": "Hello" }))
            };
        }
        "CommentService.GetComment" {
            "on the caller's own ticket" => Status(200), |scene| {
                let ticket = scene.ticket().await;
                call(&scene.cast.customer, json!({ "commentId": scene.comment(&ticket).await, "ticketId": ticket }))
            };
            "an internal one by staff" => Status(200), |scene| {
                let (ticket, note) = scene.note().await;
                call(&scene.cast.agent, json!({ "commentId": note, "ticketId": ticket }))
            };
            "an internal one by a customer" => Reason("NOT_FOUND"), |scene| {
                let (ticket, note) = scene.note().await;
                call(&scene.cast.customer, json!({ "commentId": note, "ticketId": ticket }))
            };
            "under another ticket" => Reason("NOT_FOUND"), |scene| {
                let (ticket, other) = (scene.ticket().await, scene.ticket().await);
                call(&scene.cast.customer, json!({ "commentId": scene.comment(&ticket).await, "ticketId": other }))
            };
        }
        "CommentService.ListComments" {
            "of the caller's own ticket" => Status(200), |scene| {
                let ticket = scene.ticket().await;
                scene.comment(&ticket).await;
                call(&scene.cast.customer, json!({ "ticketId": ticket }))
            };
            "of another account's ticket" => Reason("NOT_FOUND"), |scene| call(&scene.cast.stranger, json!({ "ticketId": scene.ticket().await }));
        }
        "CommentService.UpdateComment" {
            "the caller's own" => Status(200), |scene| {
                let ticket = scene.ticket().await;
                let comment = scene.comment(&ticket).await;
                call(&scene.cast.customer, json!({ "commentId": comment, "ticketId": ticket, "comment": { "body": "Still smoking." } }))
            };
            "a file, and nothing else" => Status(200), |scene| {
                let ticket = scene.ticket().await;
                let comment = scene.comment(&ticket).await;
                let patch = with_files(json!({}), &[upload(&scene.cast.customer).await]);
                call(&scene.cast.customer, json!({ "commentId": comment, "ticketId": ticket, "comment": patch }))
            };
            "an image for posts" => Reason("VALIDATION_FAILED"), |scene| {
                let ticket = scene.ticket().await;
                let comment = scene.comment(&ticket).await;
                let patch = with_files(json!({}), &[image(&scene.cast.customer).await]);
                call(&scene.cast.customer, json!({ "commentId": comment, "ticketId": ticket, "comment": patch }))
            };
            "no text" => Reason("VALIDATION_FAILED"), |scene| {
                let ticket = scene.ticket().await;
                let comment = scene.comment(&ticket).await;
                call(&scene.cast.customer, json!({ "commentId": comment, "ticketId": ticket, "comment": {}, "updateMask": "body" }))
            };
            "the caller's own internal one" => Status(200), |scene| {
                let (ticket, note) = scene.note().await;
                let file = upload(&scene.cast.agent).await;
                call(&scene.cast.agent, json!({ "commentId": note, "ticketId": ticket, "comment": with_files(json!({}), &[file]) }))
            };
            "an internal one, a file that the customer sees" => Reason("VALIDATION_FAILED"), |scene| {
                let (ticket, note) = scene.note().await;
                let file = upload(&scene.cast.customer).await;
                call(&scene.cast.agent, json!({ "commentId": note, "ticketId": ticket, "comment": with_files(json!({}), &[file]) }))
            };
            "an internal one by a customer" => Reason("NOT_FOUND"), |scene| {
                let (ticket, note) = scene.note().await;
                call(&scene.cast.customer, json!({ "commentId": note, "ticketId": ticket, "comment": { "body": "Mine." } }))
            };
            "on a merged ticket" => Reason("TICKET_MERGED"), |scene| {
                let (ticket, target) = (scene.ticket().await, scene.ticket().await);
                let comment = scene.comment(&ticket).await;
                let merge = json!({ "ticketId": ticket, "targetId": target });
                scene.cast.agent.rest("TicketService.MergeTicket", merge).await.success();
                call(&scene.cast.customer, json!({ "commentId": comment, "ticketId": ticket, "comment": { "body": "More." } }))
            };
            "a colleague's" => Reason("PERMISSION_DENIED"), |scene| {
                let ticket = scene.ticket().await;
                let comment = scene.comment(&ticket).await;
                call(&scene.cast.colleague, json!({ "commentId": comment, "ticketId": ticket, "comment": { "body": "Mine." } }))
            };
            "an unknown id" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.customer, json!({ "commentId": unknown_id(), "ticketId": scene.ticket().await, "comment": { "body": "None." } }))
            };
        }
        "CommentService.DeleteComment" {
            "the caller's own" => Status(204), |scene| {
                let ticket = scene.ticket().await;
                call(&scene.cast.customer, json!({ "commentId": scene.comment(&ticket).await, "ticketId": ticket }))
            };
            "an internal one by a customer" => Reason("NOT_FOUND"), |scene| {
                let (ticket, note) = scene.note().await;
                call(&scene.cast.customer, json!({ "commentId": note, "ticketId": ticket }))
            };
            "a colleague's" => Reason("PERMISSION_DENIED"), |scene| {
                let ticket = scene.ticket().await;
                call(&scene.cast.colleague, json!({ "commentId": scene.comment(&ticket).await, "ticketId": ticket }))
            };
            "an unknown id" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.customer, json!({ "commentId": unknown_id(), "ticketId": scene.ticket().await }))
            };
        }
    }
}
