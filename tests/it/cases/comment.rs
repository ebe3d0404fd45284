//! Comments.

use serde_json::json;

use super::{
    Case,
    Ends::{For, With},
    ask, cases, nothing,
};

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "CommentService.CreateComment" {
            "on the caller's own ticket" => With(201), |scene| {
                ask(&scene.cast.customer, json!({ "ticketId": scene.ticket().await, "body": "More smoke." }))
            };
            "an empty one" => For("VALIDATION_FAILED"), |scene| ask(&scene.cast.customer, json!({ "ticketId": scene.ticket().await, "body": "" }));
            "on another account's ticket" => For("NOT_FOUND"), |scene| {
                ask(&scene.cast.stranger, json!({ "ticketId": scene.ticket().await, "body": "Hello" }))
            };
        }
        "CommentService.GetComment" {
            "on the caller's own ticket" => With(200), |scene| {
                let ticket = scene.ticket().await;
                ask(&scene.cast.customer, json!({ "commentId": scene.comment(&ticket).await, "ticketId": ticket }))
            };
            "under another ticket" => For("NOT_FOUND"), |scene| {
                let (ticket, other) = (scene.ticket().await, scene.ticket().await);
                ask(&scene.cast.customer, json!({ "commentId": scene.comment(&ticket).await, "ticketId": other }))
            };
        }
        "CommentService.ListComments" {
            "of the caller's own ticket" => With(200), |scene| {
                let ticket = scene.ticket().await;
                scene.comment(&ticket).await;
                ask(&scene.cast.customer, json!({ "ticketId": ticket }))
            };
            "of another account's ticket" => For("NOT_FOUND"), |scene| ask(&scene.cast.stranger, json!({ "ticketId": scene.ticket().await }));
        }
        "CommentService.DeleteComment" {
            "the caller's own" => With(204), |scene| {
                let ticket = scene.ticket().await;
                ask(&scene.cast.customer, json!({ "commentId": scene.comment(&ticket).await, "ticketId": ticket }))
            };
            "a colleague's" => For("PERMISSION_DENIED"), |scene| {
                let ticket = scene.ticket().await;
                ask(&scene.cast.colleague, json!({ "commentId": scene.comment(&ticket).await, "ticketId": ticket }))
            };
            "an unknown id" => For("NOT_FOUND"), |scene| {
                ask(&scene.cast.customer, json!({ "commentId": nothing(), "ticketId": scene.ticket().await }))
            };
        }
    }
}
