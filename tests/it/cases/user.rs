//! Users.

use serde_json::json;

use super::{
    Case,
    Expected::{Reason, Status},
    call, cases,
    file::{PNG, body},
    unknown_id,
};

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "UserService.GetMe" {
            "a customer" => Status(200), |scene| call(&scene.cast.customer, json!({}));
            "a service is not a user" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.service, json!({}));
        }
        "UserService.ListUsers" {
            "of an account" => Status(200), |scene| call(&scene.cast.agent, json!({ "accountId": scene.account() }));
            "of a role" => Status(200), |scene| {
                call(&scene.cast.admin, json!({ "accountId": scene.account(), "roles": ["ROLE_CUSTOMER"], "pageSize": 1, "readMask": "id" }))
            };
            "with an address" => Status(200), |scene| call(&scene.cast.agent, json!({ "email": scene.cast.customer.as_user().email }));
            "in a state" => Status(200), |scene| {
                call(&scene.cast.agent, json!({ "accountId": scene.account(), "state": "USER_STATE_ACTIVE" }))
            };
            "with no address" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.agent, json!({ "email": "ada" }));
            "a customer may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.customer, json!({}));
        }
        "UserService.BatchGetUsers" {
            "of an account" => Status(200), |scene| call(&scene.cast.agent, json!({
                "ids": [scene.cast.colleague.as_user().id.to_string(), scene.cast.customer.as_user().id.to_string()],
            }));
            "an unknown one" => Reason("NOT_FOUND"), |scene| call(&scene.cast.admin, json!({
                "ids": [scene.cast.customer.as_user().id.to_string(), unknown_id()],
            }));
            "none" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.agent, json!({ "ids": [] }));
            "a customer may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.customer, json!({
                "ids": [scene.cast.customer.as_user().id.to_string()],
            }));
        }
        "UserService.GetUser" {
            "the caller" => Status(200), |scene| call(&scene.cast.customer, json!({ "userId": scene.cast.customer.as_user().id.to_string() }));
            "a colleague" => Reason("NOT_FOUND"), |scene| call(&scene.cast.customer, json!({ "userId": scene.cast.colleague.as_user().id.to_string() }));
            "an unknown user" => Reason("NOT_FOUND"), |scene| call(&scene.cast.admin, json!({ "userId": unknown_id() }));
        }
        "UserService.UpdateUser" {
            "the caller" => Status(200), |scene| call(&scene.cast.customer, json!({
                "userId": scene.cast.customer.as_user().id.to_string(), "user": { "name": "Zoë" },
            }));
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| call(&scene.cast.customer, json!({
                "userId": scene.cast.customer.as_user().id.to_string(), "user": { "name": "Zoë" },
            })).header("if-match", "\"9\"");
            "an empty name" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.customer, json!({
                "userId": scene.cast.customer.as_user().id.to_string(), "user": { "name": "" },
            }));
        }
        "UserService.SetUserAvatar" {
            "the caller" => Status(200), |scene| call(&scene.cast.customer, json!({
                "userId": scene.cast.customer.as_user().id.to_string(), "image": body("image/png", PNG),
            }));
            "by an admin" => Status(200), |scene| call(&scene.cast.admin, json!({
                "userId": scene.cast.customer.as_user().id.to_string(), "image": body("application/octet-stream", PNG),
            }));
            "what is no picture" => Reason("UNSUPPORTED_MEDIA_TYPE"), |scene| call(&scene.cast.customer, json!({
                "userId": scene.cast.customer.as_user().id.to_string(), "image": body("image/png", "<svg/>"),
            }));
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| call(&scene.cast.customer, json!({
                "userId": scene.cast.customer.as_user().id.to_string(), "image": body("image/png", PNG),
            })).header("if-match", "\"9\"");
            "a colleague's" => Reason("NOT_FOUND"), |scene| call(&scene.cast.customer, json!({
                "userId": scene.cast.colleague.as_user().id.to_string(), "image": body("image/png", PNG),
            }));
        }
        "UserService.DeleteUserAvatar" {
            "there is one" => Status(204), |scene| {
                let user = scene.cast.customer.as_user().id.to_string();
                let request = json!({ "userId": user, "image": body("image/png", PNG) });
                scene.cast.customer.rest("UserService.SetUserAvatar", request).await.success();
                call(&scene.cast.customer, json!({ "userId": user }))
            };
            "there is none" => Status(204), |scene| {
                call(&scene.cast.customer, json!({ "userId": scene.cast.customer.as_user().id.to_string() }))
            };
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| {
                call(&scene.cast.customer, json!({ "userId": scene.cast.customer.as_user().id.to_string() }))
                    .header("if-match", "\"9\"")
            };
            "a colleague's" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.customer, json!({ "userId": scene.cast.colleague.as_user().id.to_string() }))
            };
        }
        "UserService.SetUserRole" {
            "an admin makes an agent" => Status(200), |scene| call(&scene.cast.admin, json!({
                "userId": scene.cast.customer.as_user().id.to_string(), "role": "ROLE_AGENT",
            }));
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| call(&scene.cast.admin, json!({
                "userId": scene.cast.customer.as_user().id.to_string(), "role": "ROLE_AGENT",
            })).header("if-match", "\"9\"");
            "the role of a service" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.admin, json!({
                "userId": scene.cast.customer.as_user().id.to_string(), "role": "ROLE_SERVICE",
            }));
            "an unknown user" => Reason("NOT_FOUND"), |scene| call(&scene.cast.admin, json!({ "userId": unknown_id(), "role": "ROLE_AGENT" }));
        }
        "UserService.DeactivateUser" {
            "a customer" => Status(200), |scene| call(&scene.cast.admin, json!({
                "userId": scene.cast.customer.as_user().id.to_string(), "reason": "Left the company",
            }));
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| call(&scene.cast.admin, json!({
                "userId": scene.cast.customer.as_user().id.to_string(), "reason": "Left the company",
            })).header("if-match", "\"9\"");
            "without a reason" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.admin, json!({
                "userId": scene.cast.customer.as_user().id.to_string(),
            }));
            "an unknown user" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.admin, json!({ "userId": unknown_id(), "reason": "Left the company" }))
            };
            "an agent may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.agent, json!({
                "userId": scene.cast.customer.as_user().id.to_string(), "reason": "Left the company",
            }));
        }
        "UserService.ReactivateUser" {
            "a deactivated customer" => Status(200), |scene| {
                let user = scene.cast.customer.as_user().id.to_string();
                let request = json!({ "userId": user, "reason": "Left the company" });
                scene.cast.admin.rest("UserService.DeactivateUser", request).await.success();
                call(&scene.cast.admin, json!({ "userId": user }))
            };
            "an active customer" => Status(200), |scene| {
                call(&scene.cast.admin, json!({ "userId": scene.cast.customer.as_user().id.to_string() }))
            };
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| {
                call(&scene.cast.admin, json!({ "userId": scene.cast.customer.as_user().id.to_string() }))
                    .header("if-match", "\"9\"")
            };
            "an unknown user" => Reason("NOT_FOUND"), |scene| call(&scene.cast.admin, json!({ "userId": unknown_id() }));
        }
    }
}
