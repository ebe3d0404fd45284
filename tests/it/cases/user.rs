//! Users.

use serde_json::json;

use super::{
    Case,
    Ends::{For, With},
    ask, cases, nothing,
};

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "UserService.GetMe" {
            "a customer" => With(200), |scene| ask(&scene.cast.customer, json!({}));
            "a service is not a user" => For("PERMISSION_DENIED"), |scene| ask(&scene.cast.service, json!({}));
        }
        "UserService.ListUsers" {
            "of an account" => With(200), |scene| ask(&scene.cast.agent, json!({ "accountId": scene.account() }));
            "of a role" => With(200), |scene| {
                ask(&scene.cast.admin, json!({ "accountId": scene.account(), "roles": ["ROLE_CUSTOMER"], "pageSize": 1, "readMask": "id" }))
            };
            "a customer may not" => For("PERMISSION_DENIED"), |scene| ask(&scene.cast.customer, json!({}));
        }
        "UserService.GetUser" {
            "the caller" => With(200), |scene| ask(&scene.cast.customer, json!({ "userId": scene.cast.customer.who().id.to_string() }));
            "a colleague" => For("NOT_FOUND"), |scene| ask(&scene.cast.customer, json!({ "userId": scene.cast.colleague.who().id.to_string() }));
            "an unknown user" => For("NOT_FOUND"), |scene| ask(&scene.cast.admin, json!({ "userId": nothing() }));
        }
        "UserService.UpdateUser" {
            "the caller" => With(200), |scene| ask(&scene.cast.customer, json!({
                "userId": scene.cast.customer.who().id.to_string(), "user": { "name": "Zoë" },
            }));
            "with an old tag" => For("ETAG_MISMATCH"), |scene| ask(&scene.cast.customer, json!({
                "userId": scene.cast.customer.who().id.to_string(), "user": { "name": "Zoë" },
            })).header("if-match", "\"9\"");
            "an empty name" => For("VALIDATION_FAILED"), |scene| ask(&scene.cast.customer, json!({
                "userId": scene.cast.customer.who().id.to_string(), "user": { "name": "" },
            }));
        }
        "UserService.SetUserRole" {
            "an admin makes an agent" => With(200), |scene| ask(&scene.cast.admin, json!({
                "userId": scene.cast.customer.who().id.to_string(), "role": "ROLE_AGENT",
            }));
            "the role of a service" => For("VALIDATION_FAILED"), |scene| ask(&scene.cast.admin, json!({
                "userId": scene.cast.customer.who().id.to_string(), "role": "ROLE_SERVICE",
            }));
            "an unknown user" => For("NOT_FOUND"), |scene| ask(&scene.cast.admin, json!({ "userId": nothing(), "role": "ROLE_AGENT" }));
        }
    }
}
