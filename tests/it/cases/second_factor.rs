//! Second factors, and the second step of a sign-in.

use chrono::{DateTime, TimeDelta, Utc};
use mainstay_kernel::clock::Clock;
use serde_json::{Value, json};

use super::{
    Case,
    Expected::{Reason, Status},
    Scene, call, cases, unknown_id,
};
use crate::support::{Actor, actor::sign_in, people::PASSWORD, totp};

/// The confirmation takes the code of the present step, so that the next one is left for the case.
fn next_step() -> DateTime<Utc> {
    Clock::default().now() + TimeDelta::seconds(30)
}

async fn enroll(who: &Actor) -> String {
    let enrolled = who.rest("SecondFactorService.EnrollTotp", json!({})).await.success();
    enrolled.text("/data/secret")
}

/// Adds a second factor. Returns a code of the next step, and a recovery code.
async fn add(who: &Actor) -> (String, String) {
    let secret = enroll(who).await;
    let request = json!({ "code": totp(&secret, Clock::default().now()) });
    let codes = who.rest("SecondFactorService.ConfirmTotp", request).await.success();
    (totp(&secret, next_step()), codes.text("/data/recoveryCodes/0"))
}

/// Returns the request that answers the challenge of the customer's sign-in.
async fn answer(scene: &Scene, code: &str) -> Value {
    let challenge = sign_in(&scene.endpoint, scene.cast.customer.as_user()).await.success();
    json!({ "challengeToken": challenge.text("/challenge/token"), "code": code })
}

/// Remembers a device of the customer. Returns its id.
async fn remember(scene: &Scene) -> String {
    let (code, _) = add(&scene.cast.customer).await;
    let mut request = answer(scene, &code).await;
    request["rememberDevice"] = json!(true);
    let pair = scene.cast.anonymous.rest("AuthService.VerifySecondFactor", request).await.success();
    let me = Actor::bearer(&scene.endpoint, pair.text("/data/accessToken"));
    me.rest("SecondFactorService.ListRememberedDevices", json!({})).await.success().text("/data/0/id")
}

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "SecondFactorService.GetSecondFactor" {
            "none" => Status(200), |scene| call(&scene.cast.customer, json!({}));
            "of the caller" => Status(200), |scene| {
                add(&scene.cast.customer).await;
                call(&scene.cast.customer, json!({ "readMask": "recoveryCodesLeft" }))
            };
        }
        "SecondFactorService.EnrollTotp" {
            "the first" => Status(200), |scene| call(&scene.cast.customer, json!({}));
            "another" => Reason("ALREADY_EXISTS"), |scene| {
                add(&scene.cast.customer).await;
                call(&scene.cast.customer, json!({}))
            };
        }
        "SecondFactorService.ConfirmTotp" {
            "with a code" => Status(200), |scene| {
                let secret = enroll(&scene.cast.customer).await;
                call(&scene.cast.customer, json!({ "code": totp(&secret, next_step()) }))
            };
            "with a wrong code" => Reason("WRONG_CODE"), |scene| {
                let secret = enroll(&scene.cast.customer).await;
                let later = Clock::default().now() + TimeDelta::hours(1);
                call(&scene.cast.customer, json!({ "code": totp(&secret, later) }))
            };
            "with no code" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.customer, json!({ "code": "12345" }));
            "nothing" => Reason("NO_SECOND_FACTOR"), |scene| call(&scene.cast.customer, json!({ "code": "123456" }));
        }
        "SecondFactorService.RemoveTotp" {
            "of the caller" => Status(204), |scene| {
                add(&scene.cast.customer).await;
                call(&scene.cast.customer, json!({}))
            };
            "nothing" => Status(204), |scene| call(&scene.cast.customer, json!({}));
        }
        "SecondFactorService.RegenerateRecoveryCodes" {
            "of the caller" => Status(200), |scene| {
                add(&scene.cast.customer).await;
                call(&scene.cast.customer, json!({}))
            };
            "without a factor" => Reason("NO_SECOND_FACTOR"), |scene| call(&scene.cast.customer, json!({}));
        }
        "SecondFactorService.ListRememberedDevices" {
            "none" => Status(200), |scene| call(&scene.cast.customer, json!({}));
            "of the caller" => Status(200), |scene| {
                remember(&scene).await;
                call(&scene.cast.customer, json!({ "readMask": "userAgent,expireTime" }))
            };
            "a service has none" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.service, json!({}));
        }
        "SecondFactorService.ForgetRememberedDevice" {
            "of the caller" => Status(204), |scene| {
                let id = remember(&scene).await;
                call(&scene.cast.customer, json!({ "deviceId": id }))
            };
            "of another user" => Reason("NOT_FOUND"), |scene| {
                let id = remember(&scene).await;
                call(&scene.cast.stranger, json!({ "deviceId": id }))
            };
            "an unknown device" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.customer, json!({ "deviceId": unknown_id() }))
            };
        }
        "AuthService.VerifySecondFactor" {
            "with a code" => Status(200), |scene| {
                let (code, _) = add(&scene.cast.customer).await;
                call(&scene.cast.anonymous, answer(&scene, &code).await)
            };
            "with a recovery code" => Status(200), |scene| {
                let (_, code) = add(&scene.cast.customer).await;
                call(&scene.cast.anonymous, answer(&scene, &code).await)
            };
            "with a wrong code" => Reason("WRONG_CODE"), |scene| {
                add(&scene.cast.customer).await;
                call(&scene.cast.anonymous, answer(&scene, "aaaa-aaaa-aaaa-aaaa").await)
            };
            "without a challenge" => Reason("INVALID_TOKEN"), |scene| {
                call(&scene.cast.anonymous, json!({ "challengeToken": "nonsense", "code": "123456" }))
            };
            "to an account of others" => Reason("NOT_FOUND"), |scene| {
                let (code, _) = add(&scene.cast.customer).await;
                let (user, other) = (scene.cast.customer.as_user(), scene.cast.stranger.as_user().account.to_string());
                let login = json!({ "email": user.email, "password": user.password, "accountId": other });
                let challenge = scene.cast.anonymous.rest("AuthService.Login", login).await.success();
                let token = challenge.text("/challenge/token");
                call(&scene.cast.anonymous, json!({ "challengeToken": token, "code": code }))
            };
            "with a text that is no code" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.anonymous, json!({ "challengeToken": "nonsense", "code": "1234567" }))
            };
        }
        "AuthService.Reauthenticate" {
            "with the password" => Status(200), |scene| call(&scene.cast.customer, json!({ "currentPassword": PASSWORD }));
            "with a code" => Status(200), |scene| {
                let (code, _) = add(&scene.cast.customer).await;
                call(&scene.cast.customer, json!({ "currentPassword": PASSWORD, "code": code }))
            };
            "with a wrong password" => Reason("WRONG_PASSWORD"), |scene| {
                call(&scene.cast.customer, json!({ "currentPassword": "not this one" }))
            };
            "with a wrong code" => Reason("WRONG_CODE"), |scene| {
                add(&scene.cast.customer).await;
                call(&scene.cast.customer, json!({ "currentPassword": PASSWORD, "code": "aaaa-aaaa-aaaa-aaaa" }))
            };
            "without the code" => Reason("VALIDATION_FAILED"), |scene| {
                add(&scene.cast.customer).await;
                call(&scene.cast.customer, json!({ "currentPassword": PASSWORD }))
            };
        }
        "UserService.ResetSecondFactor" {
            "of a customer" => Status(200), |scene| {
                add(&scene.cast.customer).await;
                call(&scene.cast.admin, json!({ "userId": scene.cast.customer.as_user().id.to_string() }))
            };
            "of a user without one" => Reason("NO_SECOND_FACTOR"), |scene| {
                call(&scene.cast.admin, json!({ "userId": scene.cast.customer.as_user().id.to_string() }))
            };
            "of an unknown user" => Reason("NOT_FOUND"), |scene| call(&scene.cast.admin, json!({ "userId": unknown_id() }));
            "by a customer" => Reason("PERMISSION_DENIED"), |scene| {
                call(&scene.cast.customer, json!({ "userId": scene.cast.customer.as_user().id.to_string() }))
            };
        }
    }
}
