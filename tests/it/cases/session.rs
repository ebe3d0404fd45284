//! Sessions.

use serde_json::json;

use super::{
    Case,
    Ends::{For, With},
    ask, cases, nothing,
};
use crate::support::actor::sign_in;

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "SessionService.ListSessions" {
            "the caller's own" => With(200), |scene| ask(&scene.cast.customer, json!({}));
            "a service has none" => For("PERMISSION_DENIED"), |scene| ask(&scene.cast.service, json!({}));
        }
        "SessionService.RevokeSession" {
            "another session of the caller" => With(204), |scene| {
                let other = sign_in(&scene.endpoint, scene.cast.customer.who()).await.good();
                ask(&scene.cast.customer, json!({ "sessionId": other.text("/data/sessionId") }))
            };
            "another user's" => For("NOT_FOUND"), |scene| {
                let other = sign_in(&scene.endpoint, scene.cast.stranger.who()).await.good();
                ask(&scene.cast.customer, json!({ "sessionId": other.text("/data/sessionId") }))
            };
            "an unknown id" => For("NOT_FOUND"), |scene| ask(&scene.cast.customer, json!({ "sessionId": nothing() }));
        }
        "SessionService.RevokeAllSessions" {
            "the caller's own" => With(204), |scene| ask(&scene.cast.customer, json!({}));
        }
    }
}
