//! Registration, sign-in and sign-out.

use serde_json::json;

use super::{
    Case,
    Expected::{Reason, Status},
    call, cases,
};
use crate::{
    session::{registration, reset},
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
            "a wrong password" => Reason("INVALID_CREDENTIALS"), |scene| {
                call(&scene.cast.anonymous, json!({ "email": scene.cast.customer.as_user().email, "password": "not this one at all" }))
            };
            "an unknown user" => Reason("INVALID_CREDENTIALS"), |scene| {
                call(&scene.cast.anonymous, json!({ "email": format!("{}@example.com", unique()), "password": PASSWORD }))
            };
        }
        "AuthService.Refresh" {
            "a valid token" => Status(200), |scene| {
                let pair = sign_in(&scene.endpoint, scene.cast.customer.as_user()).await.success();
                call(&scene.cast.anonymous, json!({ "refreshToken": pair.text("/data/refreshToken") }))
            };
            "an invalid token" => Reason("INVALID_TOKEN"), |scene| call(&scene.cast.anonymous, json!({ "refreshToken": "nonsense" }));
        }
        "AuthService.Logout" {
            "a user" => Status(204), |scene| call(&scene.cast.customer, json!({}));
            "an anonymous caller" => Reason("UNAUTHENTICATED"), |scene| call(&scene.cast.anonymous, json!({}));
            "a forged token" => Reason("INVALID_TOKEN"), |scene| call(&Actor::bearer(&scene.endpoint, "a.b.c"), json!({}));
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
