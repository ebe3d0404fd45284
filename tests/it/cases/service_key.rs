//! Service keys.

use serde_json::{Value, json};

use super::{
    Case,
    Expected::{Reason, Status},
    Scene, call, cases, unknown_id,
};
use crate::support::{Actor, Protocol};

/// Creates a key of the platform.
async fn key(scene: &Scene) -> String {
    create(&scene.cast.admin, json!({})).await
}

/// Creates a key of the customer's account.
async fn of_account(scene: &Scene) -> String {
    create(&scene.cast.customer, json!({})).await
}

/// Creates a personal access token of the customer.
async fn of_person(scene: &Scene) -> String {
    create(&scene.cast.customer, json!({ "kind": "SERVICE_KEY_KIND_PERSON" })).await
}

async fn create(who: &Actor, more: Value) -> String {
    who.rest("ServiceKeyService.CreateServiceKey", draft(more)).await.success().id()
}

/// A request with a scope, and these fields.
fn draft(more: Value) -> Value {
    let mut request = json!({ "name": "A key", "scopes": ["support.tickets.read"] });
    for (name, value) in more.as_object().into_iter().flatten() {
        request[name] = value.clone();
    }
    request
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = changes();
    cases.extend(rotations());
    cases
}

fn changes() -> Vec<Case> {
    cases! {
        "ServiceKeyService.CreateServiceKey" {
            "an owner, for the account" => Status(201), |scene| call(&scene.cast.customer, draft(json!({
                "accountId": scene.account(), "allowedNetworks": ["203.0.113.0/24", "2001:db8::/32"],
            })));
            "a member, for the member" => Status(201), |scene| {
                call(&scene.cast.colleague, draft(json!({ "kind": "SERVICE_KEY_KIND_PERSON" })))
            };
            "a customer, for the platform" => Reason("PERMISSION_DENIED"), |scene| {
                call(&scene.cast.customer, draft(json!({ "kind": "SERVICE_KEY_KIND_PLATFORM" })))
            };
            "for another account" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.stranger, draft(json!({ "accountId": scene.account() })))
            };
            "for the member of another account" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.stranger, draft(json!({ "accountId": scene.account(), "kind": "SERVICE_KEY_KIND_PERSON" })))
            };
            "staff, for an unknown account" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.admin, draft(json!({ "accountId": unknown_id() })))
            };
            "staff, for the platform in an account" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, draft(json!({ "accountId": scene.account(), "kind": "SERVICE_KEY_KIND_PLATFORM" })))
            };
            "a scope of the staff" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.customer, draft(json!({ "scopes": ["payments.refunds.create"] })))
            };
            "more than 366 days" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.customer, draft(json!({ "expireTime": "2100-01-01T00:00:00Z" })))
            };
            "an address in place of a network" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.customer, draft(json!({ "allowedNetworks": ["203.0.113.7"] })))
            };
            "a network with bits of the host" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.customer, draft(json!({ "allowedNetworks": ["203.0.113.7/24"] })))
            };
            "an IPv4 network as an IPv6 one" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.customer, draft(json!({ "allowedNetworks": ["::ffff:203.0.113.0/120"] })))
            };
            "an admin may" => Status(201), |scene| call(&scene.cast.admin, json!({
                "name": "Billing", "scopes": ["support.tickets.read", "support.tickets.write"], "expireTime": "2100-01-01T00:00:00Z",
            }));
            "an end in the past" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.admin, json!({
                "name": "Billing", "scopes": ["support.tickets.read"], "expireTime": "2020-01-01T00:00:00Z",
            }));
            "without a scope" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.admin, json!({ "name": "Billing" }));
            "a scope that is not declared" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, json!({ "name": "Billing", "scopes": ["support.tickets.read", "support.everything"] }))
            };
            "an agent may not" => Reason("PERMISSION_DENIED"), |scene| {
                call(&scene.cast.agent, json!({ "name": "Billing", "scopes": ["support.tickets.read"] }))
            };
        }
        "ServiceKeyService.ListServiceKeys" {
            // Not the first page: its total includes the keys of other tests.
            "a page" => Status(200), |scene| {
                for _ in 0..3 {
                    key(&scene).await;
                }
                let page = scene.cast.admin.rest("ServiceKeyService.ListServiceKeys", json!({ "pageSize": 1 })).await;
                call(&scene.cast.admin, json!({ "pageSize": 1, "pageToken": page.text("/meta/nextPageToken") }))
            };
            "those of an invalid id" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, json!({ "createdBy": "ada" }))
            };
        }
        "ServiceKeyService.GetServiceKey" {
            "one of the account" => Status(200), |scene| {
                call(&scene.cast.customer, json!({ "serviceKeyId": of_account(&scene).await }))
            };
            "a token of a member" => Status(200), |scene| {
                call(&scene.cast.colleague, json!({ "serviceKeyId": of_person(&scene).await }))
            };
            "one of the platform" => Status(200), |scene| {
                call(&scene.cast.admin, json!({ "serviceKeyId": key(&scene).await }))
            };
            "a customer, one of the platform" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.customer, json!({ "serviceKeyId": key(&scene).await }))
            };
            "one of another account" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.stranger, json!({ "serviceKeyId": of_account(&scene).await }))
            };
            "an unknown id" => Reason("NOT_FOUND"), |scene| call(&scene.cast.admin, json!({ "serviceKeyId": unknown_id() }));
        }
        "ServiceKeyService.RevokeServiceKey" {
            "one of the account" => Status(204), |scene| {
                call(&scene.cast.customer, json!({ "serviceKeyId": of_account(&scene).await }))
            };
            "a token of a member" => Status(204), |scene| {
                call(&scene.cast.colleague, json!({ "serviceKeyId": of_person(&scene).await }))
            };
            "one of the platform" => Status(204), |scene| {
                call(&scene.cast.admin, json!({ "serviceKeyId": key(&scene).await }))
            };
            "one of another account" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.stranger, json!({ "serviceKeyId": of_account(&scene).await }))
            };
            "a revoked one" => Status(204), |scene| {
                let key = key(&scene).await;
                let request = json!({ "serviceKeyId": key });
                scene.cast.admin.call(Protocol::Grpc, "ServiceKeyService.RevokeServiceKey", request.clone()).await.success();
                call(&scene.cast.admin, request)
            };
            "an unknown id" => Reason("NOT_FOUND"), |scene| call(&scene.cast.admin, json!({ "serviceKeyId": unknown_id() }));
        }
    }
}

fn rotations() -> Vec<Case> {
    cases! {
        "ServiceKeyService.RotateServiceKey" {
            "one of the account" => Status(200), |scene| {
                call(&scene.cast.customer, json!({ "serviceKeyId": of_account(&scene).await, "overlapSeconds": 3600 }))
            };
            "the own token" => Status(200), |scene| {
                call(&scene.cast.customer, json!({ "serviceKeyId": of_person(&scene).await }))
            };
            "one of the platform, at once" => Status(200), |scene| {
                call(&scene.cast.admin, json!({ "serviceKeyId": key(&scene).await, "overlapSeconds": 0 }))
            };
            "the token of another member" => Reason("PERMISSION_DENIED"), |scene| {
                call(&scene.cast.colleague, json!({ "serviceKeyId": of_person(&scene).await }))
            };
            "a revoked one" => Reason("NOT_FOUND"), |scene| {
                let request = json!({ "serviceKeyId": of_account(&scene).await });
                let revoke = scene.cast.customer.call(Protocol::Grpc, "ServiceKeyService.RevokeServiceKey", request.clone());
                revoke.await.success();
                call(&scene.cast.customer, request)
            };
            "an overlap of more than 7 days" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.customer, json!({ "serviceKeyId": of_account(&scene).await, "overlapSeconds": 604801 }))
            };
            "an end in the past" => Reason("VALIDATION_FAILED"), |scene| {
                let key = of_account(&scene).await;
                call(&scene.cast.customer, json!({ "serviceKeyId": key, "expireTime": "2020-01-01T00:00:00Z" }))
            };
            "an unknown id" => Reason("NOT_FOUND"), |scene| call(&scene.cast.admin, json!({ "serviceKeyId": unknown_id() }));
        }
    }
}
