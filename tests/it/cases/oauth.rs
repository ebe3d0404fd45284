//! Registered clients of OAuth, and consents to them.

use serde_json::{Value, json};

use super::{
    Case,
    Expected::{Reason, Status},
    Scene, call, cases, unknown_id,
};
use crate::support::Actor;

/// Where the authorizations of the client lead.
pub(crate) const CALLBACK: &str = "https://reports.example/callback";

/// Where the sign-outs of the client lead.
pub(crate) const SIGNED_OUT: &str = "https://reports.example/signed-out";

/// A request that registers a confidential client.
pub(crate) fn client_draft() -> Value {
    json!({
        "name": "Ticket reports",
        "redirectUris": [CALLBACK],
        "postLogoutRedirectUris": [SIGNED_OUT],
        "grantTypes": ["OAUTH_GRANT_TYPE_AUTHORIZATION_CODE", "OAUTH_GRANT_TYPE_REFRESH_TOKEN"],
        "scopes": ["support.tickets.read"],
        "confidential": true,
    })
}

/// Registers a client, and returns the response.
pub(crate) async fn register(admin: &Actor, draft: Value) -> Value {
    admin.rest("OauthClientService.CreateOauthClient", draft).await.success().body
}

async fn id(scene: &Scene) -> Value {
    register(&scene.cast.admin, client_draft()).await["data"]["id"].clone()
}

async fn registered(scene: &Scene) -> Value {
    json!({ "oauthClientId": id(scene).await })
}

fn with(field: &str, value: impl Into<Value>) -> Value {
    let mut draft = client_draft();
    draft[field] = value.into();
    draft
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = clients();
    cases.extend(consents());
    cases
}

fn clients() -> Vec<Case> {
    cases! {
        "OauthClientService.CreateOauthClient" {
            "a confidential one" => Status(201), |scene| call(&scene.cast.admin, client_draft());
            "a public one" => Status(201), |scene| call(&scene.cast.admin, with("confidential", false));
            "an address without TLS" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, with("redirectUris", json!(["http://reports.example/callback"])))
            };
            "an address with a parameter of a response" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, with("redirectUris", json!(["https://reports.example/callback?state=s"])))
            };
            "an address after a sign-out without TLS" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, with("postLogoutRedirectUris", json!(["http://reports.example/"])))
            };
            "a scope that is not declared" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, with("scopes", json!(["support.everything"])))
            };
            "a public one of the operator" => Reason("VALIDATION_FAILED"), |scene| {
                let mut draft = with("confidential", false);
                draft["firstParty"] = true.into();
                call(&scene.cast.admin, draft)
            };
            "one of an account, for itself" => Status(201), |scene| {
                let mut draft = with("grantTypes", json!(["OAUTH_GRANT_TYPE_CLIENT_CREDENTIALS"]));
                draft["redirectUris"] = json!([]);
                draft["accountId"] = scene.account().into();
                call(&scene.cast.admin, draft)
            };
            "a customer may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.customer, client_draft());
            "an agent may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.agent, client_draft());
        }
        "OauthClientService.ListOauthClients" {
            // Not the first page: its total includes the clients of other tests.
            "a page" => Status(200), |scene| {
                for _ in 0..3 {
                    id(&scene).await;
                }
                let page = scene.cast.admin.rest("OauthClientService.ListOauthClients", json!({ "pageSize": 1 })).await;
                let token = page.text("/meta/nextPageToken");
                call(&scene.cast.admin, json!({ "pageSize": 1, "pageToken": token, "readMask": "id" }))
            };
        }
        "OauthClientService.GetOauthClient" {
            "one that exists" => Status(200), |scene| call(&scene.cast.admin, registered(&scene).await);
            "an unknown id" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.admin, json!({ "oauthClientId": unknown_id() }))
            };
        }
        "OauthClientService.UpdateOauthClient" {
            "its name" => Status(200), |scene| {
                call(&scene.cast.admin, json!({ "oauthClientId": id(&scene).await, "oauthClient": { "name": "Reports" } }))
            };
            "no address" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.admin, json!({
                "oauthClientId": id(&scene).await, "oauthClient": {}, "updateMask": "redirectUris",
            }));
            "an old tag" => Reason("ETAG_MISMATCH"), |scene| {
                let request = json!({ "oauthClientId": id(&scene).await, "oauthClient": { "name": "Reports" } });
                call(&scene.cast.admin, request).header("if-match", "\"9\"")
            };
        }
        "OauthClientService.RotateOauthClientSecret" {
            "a confidential one" => Status(200), |scene| call(&scene.cast.admin, registered(&scene).await);
            "a public one" => Reason("NOT_FOUND"), |scene| {
                let client = register(&scene.cast.admin, with("confidential", false)).await;
                call(&scene.cast.admin, json!({ "oauthClientId": client["data"]["id"] }))
            };
        }
        "OauthClientService.DeleteOauthClient" {
            "one that exists" => Status(204), |scene| call(&scene.cast.admin, registered(&scene).await);
            "an old tag" => Reason("ETAG_MISMATCH"), |scene| {
                call(&scene.cast.admin, registered(&scene).await).header("if-match", "\"9\"")
            };
        }
    }
}

/// Stores the consent of a customer, and returns the request about it.
async fn agreed(scene: &Scene) -> Value {
    let request = registered(scene).await;
    let (user, client) = (scene.cast.customer.as_user().id, request["oauthClientId"].as_str().expect("an id"));
    let insert = format!("INSERT INTO oauth_consents VALUES ('{user}', '{client}', '{{openid}}', now(), now())");
    scene.database.sql(&insert).await;
    request
}

fn consents() -> Vec<Case> {
    cases! {
        "OauthConsentService.ListOauthConsents" {
            "the caller's own" => Status(200), |scene| {
                agreed(&scene).await;
                call(&scene.cast.customer, json!({}))
            };
        }
        "OauthConsentService.DeleteOauthConsent" {
            "the caller's own" => Status(204), |scene| call(&scene.cast.customer, agreed(&scene).await);
            "of another user" => Reason("NOT_FOUND"), |scene| call(&scene.cast.colleague, agreed(&scene).await);
        }
    }
}
