//! Canned answers.

use serde_json::{Value, json};

use super::{
    Case,
    Expected::{Reason, Status},
    Scene, call, cases, unknown_id,
};
use crate::support::unique;

/// A request that creates a canned answer, with a name that no other one has.
pub(crate) fn answer_draft() -> Value {
    json!({ "name": format!("Answer {}", unique()), "body": "Dear {{customer.name}},\n\nabout {{ticket.subject}}: {{agent.name}}" })
}

impl Scene {
    /// Creates a canned answer of the agent.
    pub(crate) async fn answer(&self) -> String {
        let created = self.cast.agent.rest("CannedAnswerService.CreateCannedAnswer", answer_draft());
        created.await.success().id()
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = changes();
    cases.extend(reads());
    cases
}

fn changes() -> Vec<Case> {
    cases! {
        "CannedAnswerService.CreateCannedAnswer" {
            "an agent writes one" => Status(201), |scene| call(&scene.cast.agent, answer_draft());
            "an unknown placeholder" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.agent, json!({ "name": unique(), "body": "Dear {{customer.secret}}" }))
            };
            "a placeholder without an end" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.agent, json!({ "name": unique(), "body": "Dear {{customer.name" }))
            };
            "no name" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.agent, json!({ "name": "", "body": "Text" }));
            "a name that is taken" => Reason("ALREADY_EXISTS"), |scene| {
                let mut draft = answer_draft();
                scene.cast.agent.rest("CannedAnswerService.CreateCannedAnswer", draft.clone()).await.success();
                draft["name"] = draft["name"].as_str().unwrap_or_default().to_uppercase().into();
                call(&scene.cast.admin, draft)
            };
            "a customer may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.customer, answer_draft());
        }
        "CannedAnswerService.UpdateCannedAnswer" {
            "its text" => Status(200), |scene| call(&scene.cast.agent, json!({
                "cannedAnswerId": scene.answer().await, "cannedAnswer": { "body": "{{ticket.id}}" },
            }));
            "an unknown placeholder" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.agent, json!({
                "cannedAnswerId": scene.answer().await, "cannedAnswer": { "body": "{{ticket.body}}" },
            }));
            "a name that is taken" => Reason("ALREADY_EXISTS"), |scene| {
                let draft = answer_draft();
                scene.cast.agent.rest("CannedAnswerService.CreateCannedAnswer", draft.clone()).await.success();
                call(&scene.cast.agent, json!({ "cannedAnswerId": scene.answer().await, "cannedAnswer": { "name": draft["name"] } }))
            };
            "no name" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.agent, json!({
                "cannedAnswerId": scene.answer().await, "cannedAnswer": {}, "updateMask": "name",
            }));
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| call(&scene.cast.agent, json!({
                "cannedAnswerId": scene.answer().await, "cannedAnswer": { "body": "Text" },
            })).header("if-match", "\"7\"");
            "an unknown id" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.agent, json!({ "cannedAnswerId": unknown_id(), "cannedAnswer": { "body": "Text" } }))
            };
        }
        "CannedAnswerService.DeleteCannedAnswer" {
            "one" => Status(204), |scene| call(&scene.cast.agent, json!({ "cannedAnswerId": scene.answer().await }));
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| {
                call(&scene.cast.agent, json!({ "cannedAnswerId": scene.answer().await })).header("if-match", "\"7\"")
            };
            "an unknown id" => Reason("NOT_FOUND"), |scene| call(&scene.cast.agent, json!({ "cannedAnswerId": unknown_id() }));
        }
    }
}

fn reads() -> Vec<Case> {
    cases! {
        "CannedAnswerService.GetCannedAnswer" {
            "one" => Status(200), |scene| call(&scene.cast.agent, json!({ "cannedAnswerId": scene.answer().await }));
            "an unknown id" => Reason("NOT_FOUND"), |scene| call(&scene.cast.agent, json!({ "cannedAnswerId": unknown_id() }));
            "a customer may not" => Reason("PERMISSION_DENIED"), |scene| {
                call(&scene.cast.customer, json!({ "cannedAnswerId": scene.answer().await }))
            };
        }
        "CannedAnswerService.ListCannedAnswers" {
            // All staff shares them: a case asks for what no other one has made.
            "by a part of the name" => Status(200), |scene| {
                let draft = answer_draft();
                scene.cast.agent.rest("CannedAnswerService.CreateCannedAnswer", draft.clone()).await.success();
                let part = draft["name"].as_str().and_then(|name| name.split_once(' ')).map(|(_, part)| part.to_uppercase());
                call(&scene.cast.agent, json!({ "name": part, "readMask": "name,body" }))
            };
            "none" => Status(200), |scene| call(&scene.cast.agent, json!({ "name": unique() }));
            "an invalid token" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.agent, json!({ "pageToken": "AAAA" }));
        }
        "CannedAnswerService.RenderCannedAnswer" {
            "for a ticket" => Status(200), |scene| call(&scene.cast.agent, json!({
                "cannedAnswerId": scene.answer().await, "ticketId": scene.ticket().await,
            }));
            "for an unknown ticket" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.agent, json!({ "cannedAnswerId": scene.answer().await, "ticketId": unknown_id() }))
            };
            "an unknown one" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.agent, json!({ "cannedAnswerId": unknown_id(), "ticketId": scene.ticket().await }))
            };
        }
    }
}
