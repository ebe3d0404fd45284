//! Provisioning by SCIM. Over REST, failures have the format of SCIM.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{
    Call, Case,
    Expected::{Reason, Status},
    Scene,
    account_domain::verify_domain,
    call, cases, unknown_id,
};
use crate::support::{Actor, unique};

/// The scopes of a key that provisions.
pub(crate) const SCOPE: &str = "identity.scim.manage";

/// A key of a customer's account that provisions.
pub(crate) fn key(customer: &Actor) -> Actor {
    Actor::key(customer, json!({ "scopes": [SCOPE], "kind": "SERVICE_KEY_KIND_ACCOUNT" }))
}

/// A raw body in the form that the contract accepts.
pub(crate) fn raw(document: &Value) -> Value {
    json!({ "contentType": "application/scim+json", "data": BASE64_STANDARD.encode(document.to_string()) })
}

fn new_user(email: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": email, "displayName": "Ada",
        "externalId": unique(), "active": true,
    })
}

/// A new user with an address in a proved domain of the account.
async fn draft(scene: &Scene) -> Value {
    let domain = format!("{}.example", unknown_id());
    verify_domain(&scene.cast.customer, &domain).await;
    new_user(&format!("ada@{domain}"))
}

/// Provisions a user; returns a call that names the user, by the same key.
async fn provisioned(scene: &Scene) -> Call {
    let (key, body) = (key(&scene.cast.customer), raw(&draft(scene).await));
    let created = json!({ "collection": "Users", "body": body });
    let created = key.rest("ScimResourceService.CreateScimResource", created).await.success();
    call(&key, json!({ "collection": "Users", "resourceId": created.text("/id") }))
}

/// Provisions a user; returns a call with a document about the user.
async fn change(scene: &Scene, document: &Value) -> Call {
    let mut call = provisioned(scene).await;
    call.request["body"] = raw(document);
    call
}

fn leaves() -> Value {
    json!({ "Operations": [{ "op": "replace", "value": { "active": false } }] })
}

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "ScimResourceService.QueryScimResources" {
            "the user with an address" => Status(200), |scene| {
                let address = scene.cast.customer.as_user().email.clone();
                let filter = format!("userName eq \"{address}\"");
                call(&key(&scene.cast.customer), json!({ "collection": "Users", "filter": filter }))
            };
            "the groups" => Status(200), |scene| {
                call(&key(&scene.cast.customer), json!({ "collection": "Groups", "count": 10 }))
            };
            "the schemas" => Status(200), |scene| {
                call(&key(&scene.cast.customer), json!({ "collection": "Schemas" }))
            };
        }
        "ScimResourceService.ReadScimResource" {
            "a user" => Status(200), |scene| provisioned(&scene).await;
        }
        "ScimResourceService.CreateScimResource" {
            "a user" => Status(201), |scene| {
                let body = raw(&draft(&scene).await);
                call(&key(&scene.cast.customer), json!({ "collection": "Users", "body": body }))
            };
            "a user of another domain" => Reason("ADDRESS_OUTSIDE_DOMAINS"), |scene| {
                let body = raw(&new_user(&format!("ada@{}.example", unknown_id())));
                call(&key(&scene.cast.customer), json!({ "collection": "Users", "body": body }))
            };
            "a group" => Status(201), |scene| {
                let body = raw(&json!({ "displayName": format!("Group {}", unique()) }));
                call(&key(&scene.cast.customer), json!({ "collection": "Groups", "body": body }))
            };
        }
        "ScimResourceService.ReplaceScimResource" {
            "a user" => Status(200), |scene| change(&scene, &json!({ "displayName": "Ada Lovelace" })).await;
            "an old version" => Reason("ETAG_MISMATCH"), |scene| {
                change(&scene, &json!({ "displayName": "Ada Lovelace" })).await.header("if-match", "\"999\"")
            };
        }
        "ScimResourceService.PatchScimResource" {
            "a leaver" => Status(200), |scene| change(&scene, &leaves()).await;
            "an old version" => Reason("ETAG_MISMATCH"), |scene| {
                change(&scene, &leaves()).await.header("if-match", "\"999\"")
            };
        }
        "ScimResourceService.DeleteScimResource" {
            "a user" => Status(204), |scene| provisioned(&scene).await;
            "an old version" => Reason("ETAG_MISMATCH"), |scene| {
                provisioned(&scene).await.header("if-match", "\"999\"")
            };
        }
    }
}
