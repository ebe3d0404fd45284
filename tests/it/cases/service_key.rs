//! Service keys.

use serde_json::json;

use super::{
    Case,
    Ends::{For, With},
    Scene, ask, cases, nothing,
};
use crate::support::Door;

async fn key(scene: &Scene) -> String {
    let request = json!({ "name": "A key", "scopes": ["support.tickets.read"] });
    scene.cast.admin.call(Door::Rest, "ServiceKeyService.CreateServiceKey", request).await.good().id()
}

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "ServiceKeyService.CreateServiceKey" {
            "an admin may" => With(201), |scene| ask(&scene.cast.admin, json!({
                "name": "Billing", "scopes": ["support.tickets.read", "support.tickets.write"], "expireTime": "2100-01-01T00:00:00Z",
            }));
            "without a scope" => For("VALIDATION_FAILED"), |scene| ask(&scene.cast.admin, json!({ "name": "Billing" }));
            "a scope that is not declared" => For("VALIDATION_FAILED"), |scene| {
                ask(&scene.cast.admin, json!({ "name": "Billing", "scopes": ["support.tickets.read", "support.everything"] }))
            };
            "an agent may not" => For("PERMISSION_DENIED"), |scene| {
                ask(&scene.cast.agent, json!({ "name": "Billing", "scopes": ["support.tickets.read"] }))
            };
        }
        "ServiceKeyService.ListServiceKeys" {
            // Not the first page: its total includes the keys of other tests.
            "a page" => With(200), |scene| {
                for _ in 0..3 {
                    key(&scene).await;
                }
                let page = scene.cast.admin.call(Door::Rest, "ServiceKeyService.ListServiceKeys", json!({ "pageSize": 1 })).await;
                ask(&scene.cast.admin, json!({ "pageSize": 1, "pageToken": page.text("/meta/nextPageToken") }))
            };
        }
        "ServiceKeyService.GetServiceKey" {
            "an existing one" => With(200), |scene| ask(&scene.cast.admin, json!({ "serviceKeyId": key(&scene).await }));
            "an unknown id" => For("NOT_FOUND"), |scene| ask(&scene.cast.admin, json!({ "serviceKeyId": nothing() }));
        }
        "ServiceKeyService.RevokeServiceKey" {
            "an existing one" => With(204), |scene| ask(&scene.cast.admin, json!({ "serviceKeyId": key(&scene).await }));
            "a revoked one" => With(204), |scene| {
                let key = key(&scene).await;
                let request = json!({ "serviceKeyId": key });
                scene.cast.admin.call(Door::Grpc, "ServiceKeyService.RevokeServiceKey", request.clone()).await.good();
                ask(&scene.cast.admin, request)
            };
            "an unknown id" => For("NOT_FOUND"), |scene| ask(&scene.cast.admin, json!({ "serviceKeyId": nothing() }));
        }
    }
}
