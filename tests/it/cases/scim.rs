//! Provisioning by SCIM. Failures have the format of SCIM over REST, and are tested with it.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{
    Case,
    Expected::Status,
    Scene,
    account_domain::{new_domain, verify_domain},
    call, cases,
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

/// A new user with an address in a proved domain of the account.
async fn draft(scene: &Scene) -> Value {
    let domain = new_domain();
    verify_domain(&scene.cast.customer, &domain).await;
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": format!("{}@{domain}", unique()),
        "displayName": "Ada", "externalId": unique(), "active": true,
    })
}

/// Provisions a user; returns a request that names the user.
async fn provisioned(scene: &Scene) -> Value {
    let request = json!({ "collection": "Users", "body": raw(&draft(scene).await) });
    let created = key(&scene.cast.customer).rest("ScimResourceService.CreateScimResource", request).await.success();
    json!({ "collection": "Users", "resourceId": created.text("/id") })
}

fn with_body(mut request: Value, document: &Value) -> Value {
    request["body"] = raw(document);
    request
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
            "a user" => Status(200), |scene| call(&key(&scene.cast.customer), provisioned(&scene).await);
        }
        "ScimResourceService.CreateScimResource" {
            "a user" => Status(201), |scene| {
                let body = raw(&draft(&scene).await);
                call(&key(&scene.cast.customer), json!({ "collection": "Users", "body": body }))
            };
            "a group" => Status(201), |scene| {
                let body = raw(&json!({ "displayName": format!("Group {}", unique()) }));
                call(&key(&scene.cast.customer), json!({ "collection": "Groups", "body": body }))
            };
        }
        "ScimResourceService.ReplaceScimResource" {
            "a user" => Status(200), |scene| {
                let user = provisioned(&scene).await;
                call(&key(&scene.cast.customer), with_body(user, &json!({ "displayName": "Ada Lovelace" })))
            };
        }
        "ScimResourceService.PatchScimResource" {
            "a leaver" => Status(200), |scene| {
                let user = provisioned(&scene).await;
                let operations = json!([{ "op": "replace", "value": { "active": false } }]);
                call(&key(&scene.cast.customer), with_body(user, &json!({ "Operations": operations })))
            };
        }
        "ScimResourceService.DeleteScimResource" {
            "a user" => Status(204), |scene| call(&key(&scene.cast.customer), provisioned(&scene).await);
        }
    }
}
