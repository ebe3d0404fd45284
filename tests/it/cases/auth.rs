//! Registration, sign-in and sign-out.

use serde_json::json;

use super::{
    Case,
    Expected::{Reason, Status},
    call, cases,
};
use crate::{
    session::{email_change, mail_login, registration, reset},
    support::{Actor, actor::sign_in, people::PASSWORD, unique},
};

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "AuthService.Register" {
            "a new address" => Status(204), |scene| {
                call(&scene.cast.anonymous, json!({ "email": format!("{}@example.com", unique()) }))
            };
            "an address in use" => Status(204), |scene| {
                call(&scene.cast.anonymous, json!({ "email": scene.cast.customer.as_user().email.to_uppercase() }))
            };
            "no address" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.anonymous, json!({ "email": "zoë" }));
        }
        "AuthService.ConfirmRegistration" {
            "a new customer" => Status(201), |scene| {
                let token = registration::create_token(&scene.database, &format!("{}@example.com", unique())).await;
                call(&scene.cast.anonymous, json!({
                    "token": token, "password": PASSWORD, "name": "Zoë", "accountName": "Zoë & Co",
                }))
            };
            "an address that has a user by now" => Reason("ALREADY_EXISTS"), |scene| {
                let token = registration::create_token(&scene.database, &scene.cast.customer.as_user().email).await;
                call(&scene.cast.anonymous, json!({ "token": token, "password": PASSWORD, "name": "Zoë" }))
            };
            "an invalid token" => Reason("INVALID_TOKEN"), |scene| {
                call(&scene.cast.anonymous, json!({ "token": "nonsense", "password": PASSWORD, "name": "Zoë" }))
            };
            "every field is invalid" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.anonymous, json!({ "token": "", "password": "short", "name": "" }))
            };
        }
        "AuthService.Login" {
            "a user" => Status(200), |scene| {
                let user = scene.cast.customer.as_user();
                call(&scene.cast.anonymous, json!({ "email": user.email, "password": user.password }))
            };
            "to an account of others" => Reason("NOT_FOUND"), |scene| {
                let (user, other) = (scene.cast.customer.as_user(), scene.cast.stranger.as_user().account.to_string());
                call(&scene.cast.anonymous, json!({ "email": user.email, "password": user.password, "accountId": other }))
            };
            "a wrong password" => Reason("INVALID_CREDENTIALS"), |scene| {
                call(&scene.cast.anonymous, json!({ "email": scene.cast.customer.as_user().email, "password": "not this one at all" }))
            };
            "a deactivated user" => Reason("USER_DEACTIVATED"), |scene| {
                let user = scene.cast.customer.as_user();
                let request = json!({ "userId": user.id.to_string(), "reason": "Left the company" });
                scene.cast.admin.rest("UserService.DeactivateUser", request).await.success();
                call(&scene.cast.anonymous, json!({ "email": user.email, "password": user.password }))
            };
            "an unknown user" => Reason("INVALID_CREDENTIALS"), |scene| {
                call(&scene.cast.anonymous, json!({ "email": format!("{}@example.com", unique()), "password": PASSWORD }))
            };
        }
        "AuthService.ChangePassword" {
            "the caller's own" => Status(204), |scene| {
                call(&scene.cast.customer, json!({ "currentPassword": PASSWORD, "password": "a brand new password" }))
            };
            "with a wrong one" => Reason("WRONG_PASSWORD"), |scene| {
                call(&scene.cast.customer, json!({ "currentPassword": "not this one", "password": "a brand new password" }))
            };
            "to a common one" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.customer, json!({ "currentPassword": PASSWORD, "password": "password1234" }))
            };
            "a service has none" => Reason("PERMISSION_DENIED"), |scene| {
                call(&scene.cast.service, json!({ "currentPassword": PASSWORD, "password": "a brand new password" }))
            };
        }
        "AuthService.RequestEmailChange" {
            "to a new address" => Status(204), |scene| call(&scene.cast.customer, json!({
                "currentPassword": PASSWORD, "email": email_change::new_address(),
            }));
            "to an address in use" => Status(204), |scene| call(&scene.cast.customer, json!({
                "currentPassword": PASSWORD, "email": scene.cast.stranger.as_user().email,
            }));
            "to the present address" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.customer, json!({
                "currentPassword": PASSWORD, "email": scene.cast.customer.as_user().email,
            }));
            "with a wrong password" => Reason("WRONG_PASSWORD"), |scene| call(&scene.cast.customer, json!({
                "currentPassword": "not this one", "email": email_change::new_address(),
            }));
        }
        "AuthService.ConfirmEmailChange" {
            "a new address" => Status(204), |scene| {
                let (user, email) = (scene.cast.customer.as_user(), email_change::new_address());
                call(&scene.cast.anonymous, json!({ "token": email_change::create_token(&scene.database, user, &email).await }))
            };
            "an address that has a user by now" => Reason("ALREADY_EXISTS"), |scene| {
                let (user, email) = (scene.cast.customer.as_user(), &scene.cast.stranger.as_user().email);
                call(&scene.cast.anonymous, json!({ "token": email_change::create_token(&scene.database, user, email).await }))
            };
            "an invalid token" => Reason("INVALID_TOKEN"), |scene| call(&scene.cast.anonymous, json!({ "token": "nonsense" }));
        }
        "AuthService.UndoEmailChange" {
            "a change" => Status(204), |scene| {
                let (user, old) = (scene.cast.customer.as_user(), email_change::new_address());
                call(&scene.cast.anonymous, json!({ "token": email_change::create_undo_token(&scene.database, user, &old, 60).await }))
            };
            "an invalid token" => Reason("INVALID_TOKEN"), |scene| call(&scene.cast.anonymous, json!({ "token": "nonsense" }));
        }
        "AuthService.Refresh" {
            "a valid token" => Status(200), |scene| {
                let pair = sign_in(&scene.endpoint, scene.cast.customer.as_user()).await.success();
                call(&scene.cast.anonymous, json!({ "refreshToken": pair.text("/data/refreshToken") }))
            };
            "an invalid token" => Reason("INVALID_TOKEN"), |scene| call(&scene.cast.anonymous, json!({ "refreshToken": "nonsense" }));
        }
        "AuthService.SwitchAccount" {
            "to another account" => Status(200), |scene| {
                let request = json!({ "name": "Zoë & Co" });
                let other = scene.cast.customer.rest("AccountService.CreateAccount", request).await.success();
                let pair = sign_in(&scene.endpoint, scene.cast.customer.as_user()).await.success();
                call(&scene.cast.anonymous, json!({
                    "refreshToken": pair.text("/data/refreshToken"), "accountId": other.id(),
                }))
            };
            "to an account of others" => Reason("NOT_FOUND"), |scene| {
                let pair = sign_in(&scene.endpoint, scene.cast.customer.as_user()).await.success();
                call(&scene.cast.anonymous, json!({
                    "refreshToken": pair.text("/data/refreshToken"), "accountId": scene.cast.stranger.as_user().account.to_string(),
                }))
            };
            "an invalid token" => Reason("INVALID_TOKEN"), |scene| {
                call(&scene.cast.anonymous, json!({ "refreshToken": "nonsense", "accountId": scene.account() }))
            };
        }
        "AuthService.Logout" {
            "a user" => Status(204), |scene| call(&scene.cast.customer, json!({}));
            "an anonymous caller" => Reason("UNAUTHENTICATED"), |scene| call(&scene.cast.anonymous, json!({}));
            "a forged token" => Reason("INVALID_TOKEN"), |scene| call(&Actor::bearer(&scene.endpoint, "a.b.c"), json!({}));
        }
        "AuthService.BeginMailLogin" {
            "a user" => Status(200), |scene| call(&scene.cast.anonymous, json!({ "email": scene.cast.customer.as_user().email }));
            "an unknown address" => Status(200), |scene| call(&scene.cast.anonymous, json!({ "email": format!("{}@example.com", unique()) }));
            "no address" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.anonymous, json!({ "email": "" }));
        }
        "AuthService.LoginWithMail" {
            "a link" => Status(200), |scene| {
                let (binding, token) = mail_login::begin(&scene.database, &scene.cast.anonymous, &scene.cast.customer).await;
                call(&scene.cast.anonymous, json!({ "binding": binding, "token": token }))
            };
            "to an account of others" => Reason("NOT_FOUND"), |scene| {
                let (binding, token) = mail_login::begin(&scene.database, &scene.cast.anonymous, &scene.cast.customer).await;
                let other = scene.cast.stranger.as_user().account.to_string();
                call(&scene.cast.anonymous, json!({ "binding": binding, "token": token, "accountId": other }))
            };
            "a deactivated user" => Reason("USER_DEACTIVATED"), |scene| {
                let (binding, token) = mail_login::begin(&scene.database, &scene.cast.anonymous, &scene.cast.customer).await;
                let request = json!({ "userId": scene.cast.customer.as_user().id.to_string(), "reason": "Left the company" });
                scene.cast.admin.rest("UserService.DeactivateUser", request).await.success();
                call(&scene.cast.anonymous, json!({ "binding": binding, "token": token }))
            };
            "another browser" => Reason("INVALID_TOKEN"), |scene| {
                let (_, token) = mail_login::begin(&scene.database, &scene.cast.anonymous, &scene.cast.customer).await;
                call(&scene.cast.anonymous, json!({ "binding": "nonsense", "token": token }))
            };
            "neither a token nor a code" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.anonymous, json!({ "binding": "nonsense" }))
            };
            "a code of letters" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.anonymous, json!({ "binding": "nonsense", "code": "letters!" }))
            };
        }
        "AuthService.RequestPasswordReset" {
            "a user" => Status(204), |scene| call(&scene.cast.anonymous, json!({ "email": scene.cast.customer.as_user().email }));
            "an unknown address" => Status(204), |scene| call(&scene.cast.anonymous, json!({ "email": format!("{}@example.com", unique()) }));
        }
        "AuthService.ConfirmPasswordReset" {
            "a user" => Status(204), |scene| {
                let token = reset::create_token(&scene.database, scene.cast.customer.as_user()).await;
                call(&scene.cast.anonymous, json!({ "token": token, "password": "a brand new password" }))
            };
            "an invalid token" => Reason("INVALID_TOKEN"), |scene| {
                call(&scene.cast.anonymous, json!({ "token": "nonsense", "password": "a brand new password" }))
            };
        }
    }
}
