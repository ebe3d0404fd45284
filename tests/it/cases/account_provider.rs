//! Providers of accounts.

use serde_json::{Value, json};

use super::{
    Case,
    Expected::{Reason, Status},
    Scene, call, cases, join, unknown_id,
};
use crate::support::{Actor, actor::sign_in};

const ISSUER: &str = "https://id.engines.example";

/// Returns a request to add a provider.
pub(crate) fn draft(issuer: &str) -> Value {
    json!({
        "issuer": issuer, "clientId": "mainstay", "clientSecret": "hunter2", "displayName": "Engines",
        "groups": [{ "group": "it", "role": "MEMBER_ROLE_ADMIN" }], "defaultRole": "MEMBER_ROLE_VIEWER",
    })
}

/// Adds a provider to the account of a customer, with some values; returns it.
pub(crate) async fn add_provider(who: &Actor, issuer: &str, values: Value) -> Value {
    let mut request = draft(issuer);
    for (name, value) in values.as_object().expect("an object") {
        request[name] = value.clone();
    }
    who.rest("AccountProviderService.CreateAccountProvider", request).await.success().data().clone()
}

async fn added(scene: &Scene) -> Value {
    let provider = add_provider(&scene.cast.customer, ISSUER, json!({})).await;
    json!({ "accountProviderId": provider["id"] })
}

/// Returns the request to change a provider, which has no secret.
async fn change(scene: &Scene, patch: Value) -> Value {
    let provider = add_provider(&scene.cast.customer, ISSUER, json!({ "clientSecret": null })).await;
    json!({ "accountProviderId": provider["id"], "accountProvider": patch })
}

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "AccountProviderService.CreateAccountProvider" {
            "a new provider" => Status(201), |scene| {
                let mut request = draft(ISSUER);
                request["accountId"] = scene.account().into();
                call(&scene.cast.customer, request)
            };
            "a second one" => Reason("ALREADY_EXISTS"), |scene| {
                added(&scene).await;
                call(&scene.cast.customer, draft("https://id.other.example"))
            };
            "without a URL" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.customer, draft("engines"));
            "with a query" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.customer, draft("https://id.engines.example/?tenant=1"))
            };
            "with the role of an owner" => Reason("VALIDATION_FAILED"), |scene| {
                let mut request = draft(ISSUER);
                request["groups"] = json!([{ "group": "it", "role": "MEMBER_ROLE_OWNER" }]);
                call(&scene.cast.customer, request)
            };
            "with an unknown custom role" => Reason("NOT_FOUND"), |scene| {
                let mut request = draft(ISSUER);
                request["groups"] = json!([
                    { "group": "it", "role": "MEMBER_ROLE_CUSTOM", "customRoleId": unknown_id() },
                ]);
                call(&scene.cast.customer, request)
            };
            "without an account" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, draft(ISSUER))
            };
        }
        "AccountProviderService.ListAccountProviders" {
            "of the account" => Status(200), |scene| {
                added(&scene).await;
                call(&scene.cast.customer, json!({ "accountId": scene.account() }))
            };
        }
        "AccountProviderService.GetAccountProvider" {
            "one of the account" => Status(200), |scene| call(&scene.cast.customer, added(&scene).await);
            "one of another account" => Reason("NOT_FOUND"), |scene| call(&scene.cast.stranger, added(&scene).await);
        }
        "AccountProviderService.UpdateAccountProvider" {
            "another name" => Status(200), |scene| {
                call(&scene.cast.customer, change(&scene, json!({ "displayName": "Engines Ltd" })).await)
            };
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| {
                let request = change(&scene, json!({ "displayName": "Engines Ltd" })).await;
                call(&scene.cast.customer, request).header("if-match", "\"9\"")
            };
        }
        "AccountProviderService.DeleteAccountProvider" {
            "one of the account" => Status(204), |scene| call(&scene.cast.customer, added(&scene).await);
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| {
                call(&scene.cast.customer, added(&scene).await).header("if-match", "\"9\"")
            };
        }
        "AuthService.Login" {
            "to an account that requires its provider" => Reason("PROVIDER_REQUIRED"), |scene| {
                add_provider(&scene.cast.customer, ISSUER, json!({ "enforced": true })).await;
                join(&scene.database, &scene.cast.stranger, &scene.cast.customer, 3).await;
                let user = scene.cast.stranger.as_user();
                call(&scene.cast.anonymous, json!({
                    "email": user.email, "password": user.password, "accountId": scene.account(),
                }))
            };
        }
        "AuthService.SwitchAccount" {
            "in a session of the provider of an account" => Reason("SESSION_OF_ONE_ACCOUNT"), |scene| {
                let provider = added(&scene).await["accountProviderId"].as_str().expect("an id").to_owned();
                let pair = sign_in(&scene.endpoint, scene.cast.customer.as_user()).await.success();
                let id = pair.text("/data/sessionId");
                scene.database.sql(&format!("UPDATE sessions SET provider_id = '{provider}' WHERE id = '{id}'")).await;
                let other = scene.cast.stranger.as_user().account.to_string();
                call(&scene.cast.anonymous, json!({
                    "refreshToken": pair.text("/data/refreshToken"), "accountId": other,
                }))
            };
        }
        "AuthService.FindSignInProvider" {
            "of a proved domain" => Status(200), |scene| {
                let domain = super::account_domain::new_domain();
                super::account_domain::verify_domain(&scene.cast.customer, &domain).await;
                added(&scene).await;
                call(&scene.cast.anonymous, json!({ "email": format!("ada@{domain}") }))
            };
            "of a domain that no account has proved" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.anonymous, json!({ "email": "ada@engines.example" }))
            };
        }
    }
}
