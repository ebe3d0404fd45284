//! Webhook endpoints and their deliveries.

use serde_json::{Value, json};

use super::{
    Case,
    Ends::{For, With},
    Scene, ask, cases, nothing,
};
use crate::support::Door;

fn draft() -> Value {
    json!({ "url": "https://example.com/hooks", "description": "Billing", "eventTypes": ["orders.order.created"] })
}

/// Creates an endpoint that never receives a delivery: the event it subscribes to does not occur here.
async fn endpoint(scene: &Scene) -> String {
    scene.cast.admin.call(Door::Rest, "WebhookEndpointService.CreateWebhookEndpoint", draft()).await.good().id()
}

/// Inserts a delivery and returns the ids of its endpoint and of the delivery.
async fn delivery(scene: &Scene, state: i16) -> (String, String) {
    let (endpoint, id) = (endpoint(scene).await, nothing());
    let next = if state == 1 { "now()" } else { "NULL" };
    let insert = format!(
        "INSERT INTO webhook_deliveries VALUES
             ('{id}', '{endpoint}', '{}', 'orders.order.created', '{{}}', {state}, 1, 1, {next}, 2, now(), now());
         INSERT INTO webhook_attempts VALUES ('{id}', 1, now(), 7, 500, 'webhooks: unavailable')",
        nothing()
    );
    scene.database.sql(&insert).await;
    (endpoint, id)
}

const FAILED: i16 = 3;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = endpoints();
    cases.extend(changes());
    cases.extend(deliveries());
    cases
}

fn endpoints() -> Vec<Case> {
    cases! {
        "WebhookEndpointService.CreateWebhookEndpoint" {
            "for everything that happens" => With(201), |scene| {
                ask(&scene.cast.admin, json!({ "url": "https://example.com/hooks?all=1" }))
            };
            "for an account" => With(201), |scene| {
                let mut draft = draft();
                draft["accountId"] = scene.account().into();
                ask(&scene.cast.admin, draft)
            };
            "for no account" => For("NOT_FOUND"), |scene| {
                let mut draft = draft();
                draft["accountId"] = nothing().into();
                ask(&scene.cast.admin, draft)
            };
            "without TLS" => For("VALIDATION_FAILED"), |scene| {
                ask(&scene.cast.admin, json!({ "url": "http://example.com/" }))
            };
            "on this machine" => For("VALIDATION_FAILED"), |scene| {
                ask(&scene.cast.admin, json!({ "url": "https://127.0.0.1/" }))
            };
            "an unknown event type" => For("VALIDATION_FAILED"), |scene| {
                ask(&scene.cast.admin, json!({ "url": "https://example.com/", "eventTypes": ["support.ticket.lost"] }))
            };
            "an agent may not" => For("PERMISSION_DENIED"), |scene| ask(&scene.cast.agent, draft());
        }
        "WebhookEndpointService.GetWebhookEndpoint" {
            "an existing one" => With(200), |scene| ask(&scene.cast.admin, json!({ "endpointId": endpoint(&scene).await }));
            "some of its fields" => With(200), |scene| {
                ask(&scene.cast.admin, json!({ "endpointId": endpoint(&scene).await, "readMask": "url,eventTypes" }))
            };
            "an unknown id" => For("NOT_FOUND"), |scene| ask(&scene.cast.admin, json!({ "endpointId": nothing() }));
        }
        "WebhookEndpointService.ListWebhookEndpoints" {
            // Not the first page: its total includes the endpoints of other cases.
            "a page" => With(200), |scene| {
                for _ in 0..3 {
                    endpoint(&scene).await;
                }
                let page = scene.cast.admin.call(Door::Rest, "WebhookEndpointService.ListWebhookEndpoints", json!({ "pageSize": 1 })).await;
                ask(&scene.cast.admin, json!({ "pageSize": 1, "pageToken": page.text("/meta/nextPageToken"), "readMask": "description,status" }))
            };
        }
    }
}

fn changes() -> Vec<Case> {
    cases! {
        "WebhookEndpointService.UpdateWebhookEndpoint" {
            "another URL, and no more events" => With(200), |scene| {
                let patch = json!({ "url": "https://example.com/other", "enabled": false });
                ask(&scene.cast.admin, json!({ "endpointId": endpoint(&scene).await, "endpoint": patch }))
            };
            "every event" => With(200), |scene| ask(&scene.cast.admin, json!({
                "endpointId": endpoint(&scene).await, "endpoint": {}, "updateMask": "eventTypes",
            })).header("if-match", "\"1\"");
            "an old version" => For("ETAG_MISMATCH"), |scene| ask(&scene.cast.admin, json!({
                "endpointId": endpoint(&scene).await, "endpoint": { "enabled": false },
            })).header("if-match", "\"7\"");
            "to this machine" => For("VALIDATION_FAILED"), |scene| ask(&scene.cast.admin, json!({
                "endpointId": endpoint(&scene).await, "endpoint": { "url": "https://[::1]/" },
            }));
            "an unknown id" => For("NOT_FOUND"), |scene| ask(&scene.cast.admin, json!({ "endpointId": nothing(), "endpoint": { "enabled": true } }));
        }
        "WebhookEndpointService.RotateWebhookSecret" {
            "with an overlap" => With(200), |scene| {
                ask(&scene.cast.admin, json!({ "endpointId": endpoint(&scene).await, "overlapSeconds": 60 }))
            };
            "too long an overlap" => For("VALIDATION_FAILED"), |scene| {
                ask(&scene.cast.admin, json!({ "endpointId": endpoint(&scene).await, "overlapSeconds": 604_801 }))
            };
            "an unknown id" => For("NOT_FOUND"), |scene| ask(&scene.cast.admin, json!({ "endpointId": nothing() }));
        }
        "WebhookEndpointService.DeleteWebhookEndpoint" {
            "one with deliveries" => With(204), |scene| {
                ask(&scene.cast.admin, json!({ "endpointId": delivery(&scene, FAILED).await.0 }))
            };
            "an unknown id" => For("NOT_FOUND"), |scene| ask(&scene.cast.admin, json!({ "endpointId": nothing() }));
        }
    }
}

fn deliveries() -> Vec<Case> {
    cases! {
        "WebhookDeliveryService.GetWebhookDelivery" {
            "one with its attempts" => With(200), |scene| {
                ask(&scene.cast.admin, json!({ "deliveryId": delivery(&scene, FAILED).await.1, "readMask": "id,state,attemptCount" }))
            };
            "an unknown id" => For("NOT_FOUND"), |scene| ask(&scene.cast.admin, json!({ "deliveryId": nothing() }));
        }
        "WebhookDeliveryService.ListWebhookDeliveries" {
            "those that failed" => With(200), |scene| {
                let (endpoint, _) = delivery(&scene, FAILED).await;
                ask(&scene.cast.admin, json!({ "endpointId": endpoint, "state": "WEBHOOK_DELIVERY_STATE_FAILED", "readMask": "id,state,payload" }))
            };
            "of an unknown endpoint" => For("NOT_FOUND"), |scene| ask(&scene.cast.admin, json!({ "endpointId": nothing() }));
        }
        "WebhookDeliveryService.ResendWebhookDelivery" {
            "one that failed" => With(202), |scene| {
                ask(&scene.cast.admin, json!({ "deliveryId": delivery(&scene, FAILED).await.1 }))
            };
            "a pending one" => For("BUSINESS_RULE_VIOLATION"), |scene| {
                ask(&scene.cast.admin, json!({ "deliveryId": delivery(&scene, 1).await.1 }))
            };
            "an unknown id" => For("NOT_FOUND"), |scene| ask(&scene.cast.admin, json!({ "deliveryId": nothing() }));
        }
    }
}
