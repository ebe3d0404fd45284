//! Impersonations.

use serde_json::{Value, json};

use super::{
    Case,
    Expected::{Reason, Status},
    Scene, call, cases, join, unknown_id,
};
use crate::support::{Actor, Protocol};

/// A request to act in the name of the customer.
pub(crate) fn draft(scene: &Scene, more: Value) -> Value {
    of(&scene.cast.customer, &scene.account(), more)
}

/// A request to act in the name of a user in an account.
pub(crate) fn of(who: &Actor, account: &str, more: Value) -> Value {
    let user = who.as_user().id.to_string();
    let mut request = json!({ "userId": user, "accountId": account, "reason": "Ticket 4711: the list is empty" });
    for (name, value) in more.as_object().into_iter().flatten() {
        request[name] = value.clone();
    }
    request
}

async fn start(scene: &Scene) -> String {
    let request = draft(scene, json!({}));
    scene.cast.admin.rest("ImpersonationService.StartImpersonation", request).await.success().id()
}

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "ImpersonationService.StartImpersonation" {
            "an admin, read-only" => Status(201), |scene| call(&scene.cast.admin, draft(&scene, json!({})));
            "an admin, with writes" => Status(201), |scene| {
                call(&scene.cast.admin, draft(&scene, json!({ "minutes": 60, "allowWrites": true })))
            };
            "an agent without the scope" => Reason("PERMISSION_DENIED"), |scene| {
                call(&scene.cast.agent, draft(&scene, json!({})))
            };
            "of staff" => Reason("PERMISSION_DENIED"), |scene| {
                let account = scene.cast.agent.as_user().account.to_string();
                call(&scene.cast.admin, of(&scene.cast.agent, &account, json!({})))
            };
            "of staff that is a member" => Reason("PERMISSION_DENIED"), |scene| {
                join(&scene.database, &scene.cast.agent, &scene.cast.customer, 3).await;
                call(&scene.cast.admin, of(&scene.cast.agent, &scene.account(), json!({})))
            };
            "of a user who is no member" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.admin, of(&scene.cast.stranger, &scene.account(), json!({})))
            };
            "of an unknown user" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.admin, draft(&scene, json!({ "userId": unknown_id() })))
            };
            "a short reason" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, draft(&scene, json!({ "reason": "Curious" })))
            };
            "more than an hour" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, draft(&scene, json!({ "minutes": 61 })))
            };
        }
        "ImpersonationService.ListImpersonations" {
            // Not the first page: its total includes the impersonations of other tests.
            "a page" => Status(200), |scene| {
                for _ in 0..3 {
                    start(&scene).await;
                }
                let list = "ImpersonationService.ListImpersonations";
                let page = scene.cast.admin.rest(list, json!({ "pageSize": 1 })).await;
                call(&scene.cast.admin, json!({ "pageSize": 1, "pageToken": page.text("/meta/nextPageToken") }))
            };
        }
        "ImpersonationService.EndImpersonation" {
            "one that lasts" => Status(200), |scene| {
                call(&scene.cast.admin, json!({ "impersonationId": start(&scene).await }))
            };
            "one that has ended" => Status(200), |scene| {
                let request = json!({ "impersonationId": start(&scene).await });
                let end = "ImpersonationService.EndImpersonation";
                scene.cast.admin.call(Protocol::Grpc, end, request.clone()).await.success();
                call(&scene.cast.admin, request)
            };
            "an unknown id" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.admin, json!({ "impersonationId": unknown_id() }))
            };
        }
    }
}
