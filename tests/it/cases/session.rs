//! Sessions.

use serde_json::json;

use super::{
    Case,
    Expected::{Reason, Status},
    call, cases, unknown_id,
};
use crate::support::actor::sign_in;

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "SessionService.ListSessions" {
            "the caller's own" => Status(200), |scene| call(&scene.cast.customer, json!({}));
            "a service has none" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.service, json!({}));
        }
        "SessionService.RevokeSession" {
            "another session of the caller" => Status(204), |scene| {
                let other = sign_in(&scene.endpoint, scene.cast.customer.as_user()).await.success();
                call(&scene.cast.customer, json!({ "sessionId": other.text("/data/sessionId") }))
            };
            "another user's" => Reason("NOT_FOUND"), |scene| {
                let other = sign_in(&scene.endpoint, scene.cast.stranger.as_user()).await.success();
                call(&scene.cast.customer, json!({ "sessionId": other.text("/data/sessionId") }))
            };
            "an unknown id" => Reason("NOT_FOUND"), |scene| call(&scene.cast.customer, json!({ "sessionId": unknown_id() }));
        }
        "SessionService.RevokeAllSessions" {
            "the caller's own" => Status(204), |scene| call(&scene.cast.customer, json!({}));
        }
        "SessionService.ListUserSessions" {
            "a customer's" => Status(200), |scene| {
                call(&scene.cast.admin, json!({ "userId": scene.cast.customer.as_user().id.to_string() }))
            };
            "an unknown user's" => Reason("NOT_FOUND"), |scene| call(&scene.cast.admin, json!({ "userId": unknown_id() }));
            "an agent may not" => Reason("PERMISSION_DENIED"), |scene| {
                call(&scene.cast.agent, json!({ "userId": scene.cast.customer.as_user().id.to_string() }))
            };
        }
        "SessionService.RevokeUserSession" {
            "a customer's" => Status(204), |scene| {
                let user = scene.cast.customer.as_user();
                let pair = sign_in(&scene.endpoint, user).await.success();
                call(&scene.cast.admin, json!({ "userId": user.id.to_string(), "sessionId": pair.text("/data/sessionId") }))
            };
            "of another user" => Reason("NOT_FOUND"), |scene| {
                let pair = sign_in(&scene.endpoint, scene.cast.stranger.as_user()).await.success();
                call(&scene.cast.admin, json!({
                    "userId": scene.cast.customer.as_user().id.to_string(), "sessionId": pair.text("/data/sessionId"),
                }))
            };
        }
        "SessionService.RevokeAllUserSessions" {
            "a customer's" => Status(204), |scene| {
                call(&scene.cast.admin, json!({ "userId": scene.cast.customer.as_user().id.to_string() }))
            };
            "an unknown user's" => Reason("NOT_FOUND"), |scene| call(&scene.cast.admin, json!({ "userId": unknown_id() }));
        }
    }
}
