//! Webhook endpoints and their deliveries.

use serde_json::{Value, json};

use super::{
    Case,
    Expected::{Reason, Status},
    Scene, call, cases, unknown_id,
};
use crate::support::receiver::Receiver;

const PENDING: i16 = 1;
const FAILED: i16 = 3;

fn draft() -> Value {
    json!({ "url": "https://example.com/hooks", "description": "Billing", "eventTypes": ["orders.order.created"] })
}

/// Creates an endpoint that never receives a delivery: the event it subscribes to does not occur here.
async fn create_endpoint(scene: &Scene) -> String {
    scene.cast.admin.rest("WebhookEndpointService.CreateWebhookEndpoint", draft()).await.success().id()
}

/// Inserts a delivery and returns the ids of its endpoint and of the delivery.
async fn insert_delivery(scene: &Scene, state: i16) -> (String, String) {
    let (endpoint, id) = (create_endpoint(scene).await, unknown_id());
    let next = if state == PENDING { "now()" } else { "NULL" };
    let insert = format!(
        "INSERT INTO webhook_deliveries VALUES
             ('{id}', '{endpoint}', '{}', 'orders.order.created', '{{}}', {state}, 1, 1, {next}, 2, now(), now());
         INSERT INTO webhook_attempts VALUES ('{id}', 1, now(), 7, 500, 'webhooks: unavailable')",
        unknown_id()
    );
    scene.database.sql(&insert).await;
    (endpoint, id)
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = endpoints();
    cases.extend(changes());
    cases.extend(deliveries());
    cases
}

fn endpoints() -> Vec<Case> {
    cases! {
        "WebhookEndpointService.CreateWebhookEndpoint" {
            "for everything that happens" => Status(201), |scene| {
                call(&scene.cast.admin, json!({ "url": "https://example.com/hooks?all=1" }))
            };
            "for an account" => Status(201), |scene| {
                let mut draft = draft();
                draft["accountId"] = scene.account().into();
                call(&scene.cast.admin, draft)
            };
            "for no account" => Reason("NOT_FOUND"), |scene| {
                let mut draft = draft();
                draft["accountId"] = unknown_id().into();
                call(&scene.cast.admin, draft)
            };
            "neither http nor https" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, json!({ "url": "ftp://example.com/" }))
            };
            "an unknown event type" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, json!({ "url": "https://example.com/", "eventTypes": ["support.ticket.lost"] }))
            };
            "an agent may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.agent, draft());
        }
        "WebhookEndpointService.GetWebhookEndpoint" {
            "an existing one" => Status(200), |scene| call(&scene.cast.admin, json!({ "endpointId": create_endpoint(&scene).await }));
            "some of its fields" => Status(200), |scene| {
                call(&scene.cast.admin, json!({ "endpointId": create_endpoint(&scene).await, "readMask": "url,eventTypes" }))
            };
            "an unknown id" => Reason("NOT_FOUND"), |scene| call(&scene.cast.admin, json!({ "endpointId": unknown_id() }));
        }
        "WebhookEndpointService.ListWebhookEndpoints" {
            // Not the first page: its total includes the endpoints of other cases.
            "a page" => Status(200), |scene| {
                for _ in 0..3 {
                    create_endpoint(&scene).await;
                }
                let page = scene.cast.admin.rest("WebhookEndpointService.ListWebhookEndpoints", json!({ "pageSize": 1 })).await;
                call(&scene.cast.admin, json!({ "pageSize": 1, "pageToken": page.text("/meta/nextPageToken"), "readMask": "description,status" }))
            };
        }
    }
}

fn changes() -> Vec<Case> {
    cases! {
        "WebhookEndpointService.UpdateWebhookEndpoint" {
            "another URL, and no more events" => Status(200), |scene| {
                let patch = json!({ "url": "https://example.com/other", "enabled": false });
                call(&scene.cast.admin, json!({ "endpointId": create_endpoint(&scene).await, "endpoint": patch }))
            };
            "every event" => Status(200), |scene| call(&scene.cast.admin, json!({
                "endpointId": create_endpoint(&scene).await, "endpoint": {}, "updateMask": "eventTypes",
            })).header("if-match", "\"1\"");
            "an old version" => Reason("ETAG_MISMATCH"), |scene| call(&scene.cast.admin, json!({
                "endpointId": create_endpoint(&scene).await, "endpoint": { "enabled": false },
            })).header("if-match", "\"7\"");
            "to no URL" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.admin, json!({
                "endpointId": create_endpoint(&scene).await, "endpoint": { "url": "example.com" },
            }));
            "an unknown id" => Reason("NOT_FOUND"), |scene| call(&scene.cast.admin, json!({ "endpointId": unknown_id(), "endpoint": { "enabled": true } }));
        }
        "WebhookEndpointService.RotateWebhookSecret" {
            "with an overlap" => Status(200), |scene| {
                call(&scene.cast.admin, json!({ "endpointId": create_endpoint(&scene).await, "overlapSeconds": 60 }))
            };
            "too long an overlap" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, json!({ "endpointId": create_endpoint(&scene).await, "overlapSeconds": 604_801 }))
            };
            "an unknown id" => Reason("NOT_FOUND"), |scene| call(&scene.cast.admin, json!({ "endpointId": unknown_id() }));
        }
        "WebhookEndpointService.TestWebhookEndpoint" {
            "one that accepts" => Status(200), |scene| {
                let receiver = Receiver::answering(&[204]).await;
                let request = json!({ "url": receiver.url(), "eventTypes": ["orders.order.created"] });
                let response = scene.cast.admin.rest("WebhookEndpointService.CreateWebhookEndpoint", request).await;
                call(&scene.cast.admin, json!({ "endpointId": response.id() }))
            };
            "one that refuses" => Reason("UPSTREAM_FAILED"), |scene| {
                let receiver = Receiver::answering(&[500]).await;
                let request = json!({ "url": receiver.url(), "eventTypes": ["orders.order.created"] });
                let response = scene.cast.admin.rest("WebhookEndpointService.CreateWebhookEndpoint", request).await;
                call(&scene.cast.admin, json!({ "endpointId": response.id() }))
            };
            "an unknown id" => Reason("NOT_FOUND"), |scene| call(&scene.cast.admin, json!({ "endpointId": unknown_id() }));
            "an agent may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.agent, json!({ "endpointId": unknown_id() }));
        }
        "WebhookEndpointService.DeleteWebhookEndpoint" {
            "one with deliveries" => Status(204), |scene| {
                call(&scene.cast.admin, json!({ "endpointId": insert_delivery(&scene, FAILED).await.0 }))
            };
            "an old version" => Reason("ETAG_MISMATCH"), |scene| {
                call(&scene.cast.admin, json!({ "endpointId": create_endpoint(&scene).await })).header("if-match", "\"7\"")
            };
            "an unknown id" => Reason("NOT_FOUND"), |scene| call(&scene.cast.admin, json!({ "endpointId": unknown_id() }));
        }
    }
}

fn deliveries() -> Vec<Case> {
    cases! {
        "WebhookDeliveryService.GetWebhookDelivery" {
            "one with its attempts" => Status(200), |scene| {
                call(&scene.cast.admin, json!({ "deliveryId": insert_delivery(&scene, FAILED).await.1, "readMask": "id,state,attemptCount" }))
            };
            "an unknown id" => Reason("NOT_FOUND"), |scene| call(&scene.cast.admin, json!({ "deliveryId": unknown_id() }));
        }
        "WebhookDeliveryService.ListWebhookDeliveries" {
            "those that failed" => Status(200), |scene| {
                let (endpoint, _) = insert_delivery(&scene, FAILED).await;
                call(&scene.cast.admin, json!({ "endpointId": endpoint, "state": "WEBHOOK_DELIVERY_STATE_FAILED", "readMask": "id,state,payload" }))
            };
            "of an unknown endpoint" => Reason("NOT_FOUND"), |scene| call(&scene.cast.admin, json!({ "endpointId": unknown_id() }));
        }
        "WebhookDeliveryService.ResendWebhookDelivery" {
            "one that failed" => Status(202), |scene| {
                call(&scene.cast.admin, json!({ "deliveryId": insert_delivery(&scene, FAILED).await.1 }))
            };
            "to a disabled endpoint" => Reason("ENDPOINT_DISABLED"), |scene| {
                let (endpoint, delivery) = insert_delivery(&scene, FAILED).await;
                let disable = json!({ "endpointId": endpoint, "endpoint": { "enabled": false } });
                scene.cast.admin.rest("WebhookEndpointService.UpdateWebhookEndpoint", disable).await.success();
                call(&scene.cast.admin, json!({ "deliveryId": delivery }))
            };
            "a pending one" => Reason("DELIVERY_PENDING"), |scene| {
                call(&scene.cast.admin, json!({ "deliveryId": insert_delivery(&scene, PENDING).await.1 }))
            };
            "an unknown id" => Reason("NOT_FOUND"), |scene| call(&scene.cast.admin, json!({ "deliveryId": unknown_id() }));
        }
    }
}
