//! Service keys.

use serde_json::json;

use super::{
    Case,
    Expected::{Reason, Status},
    Scene, call, cases, unknown_id,
};
use crate::support::Protocol;

async fn key(scene: &Scene) -> String {
    let request = json!({ "name": "A key", "scopes": ["support.tickets.read"] });
    scene.cast.admin.call(Protocol::Rest, "ServiceKeyService.CreateServiceKey", request).await.success().id()
}

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "ServiceKeyService.CreateServiceKey" {
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
                let page = scene.cast.admin.call(Protocol::Rest, "ServiceKeyService.ListServiceKeys", json!({ "pageSize": 1 })).await;
                call(&scene.cast.admin, json!({ "pageSize": 1, "pageToken": page.text("/meta/nextPageToken") }))
            };
            "those of an invalid id" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, json!({ "createdBy": "ada" }))
            };
        }
        "ServiceKeyService.GetServiceKey" {
            "an existing one" => Status(200), |scene| call(&scene.cast.admin, json!({ "serviceKeyId": key(&scene).await }));
            "an unknown id" => Reason("NOT_FOUND"), |scene| call(&scene.cast.admin, json!({ "serviceKeyId": unknown_id() }));
        }
        "ServiceKeyService.RevokeServiceKey" {
            "an existing one" => Status(204), |scene| call(&scene.cast.admin, json!({ "serviceKeyId": key(&scene).await }));
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
