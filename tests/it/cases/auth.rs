//! Registration, sign-in and sign-out.

use serde_json::json;

use super::{
    Case,
    Ends::{For, With},
    ask, cases,
};
use crate::{
    session::reset::token,
    support::{Actor, actor::sign_in, people::PASSWORD, unique},
};

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "AuthService.Register" {
            "a new customer" => With(201), |scene| ask(&scene.cast.anonymous, json!({
                "email": format!("{}@example.com", unique()), "password": PASSWORD, "name": "Zoë", "accountName": "Zoë & Co",
            }));
            "an address in use" => For("ALREADY_EXISTS"), |scene| ask(&scene.cast.anonymous, json!({
                "email": scene.cast.customer.who().email.to_uppercase(), "password": PASSWORD, "name": "Zoë",
            }));
            "every field is invalid" => For("VALIDATION_FAILED"), |scene| {
                ask(&scene.cast.anonymous, json!({ "email": "zoë", "password": "short", "name": "" }))
            };
        }
        "AuthService.Login" {
            "a user" => With(200), |scene| {
                let user = scene.cast.customer.who();
                ask(&scene.cast.anonymous, json!({ "email": user.email, "password": user.password }))
            };
            "a wrong password" => For("INVALID_CREDENTIALS"), |scene| {
                ask(&scene.cast.anonymous, json!({ "email": scene.cast.customer.who().email, "password": "not this one at all" }))
            };
            "an unknown user" => For("INVALID_CREDENTIALS"), |scene| {
                ask(&scene.cast.anonymous, json!({ "email": format!("{}@example.com", unique()), "password": PASSWORD }))
            };
        }
        "AuthService.Refresh" {
            "a valid token" => With(200), |scene| {
                let pair = sign_in(&scene.endpoint, scene.cast.customer.who()).await.good();
                ask(&scene.cast.anonymous, json!({ "refreshToken": pair.text("/data/refreshToken") }))
            };
            "an invalid token" => For("INVALID_TOKEN"), |scene| ask(&scene.cast.anonymous, json!({ "refreshToken": "nonsense" }));
        }
        "AuthService.Logout" {
            "a user" => With(204), |scene| ask(&scene.cast.customer, json!({}));
            "an anonymous caller" => For("UNAUTHENTICATED"), |scene| ask(&scene.cast.anonymous, json!({}));
            "a forged token" => For("INVALID_TOKEN"), |scene| ask(&Actor::bearer(&scene.endpoint, "a.b.c"), json!({}));
        }
        "AuthService.RequestPasswordReset" {
            "a user" => With(204), |scene| ask(&scene.cast.anonymous, json!({ "email": scene.cast.customer.who().email }));
            "an unknown address" => With(204), |scene| ask(&scene.cast.anonymous, json!({ "email": format!("{}@example.com", unique()) }));
        }
        "AuthService.ConfirmPasswordReset" {
            "a user" => With(204), |scene| {
                let token = token(&scene.database, scene.cast.customer.who()).await;
                ask(&scene.cast.anonymous, json!({ "token": token, "password": "a brand new password" }))
            };
            "an invalid token" => For("INVALID_TOKEN"), |scene| {
                ask(&scene.cast.anonymous, json!({ "token": "nonsense", "password": "a brand new password" }))
            };
        }
    }
}
