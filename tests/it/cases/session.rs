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
    }
}
