//! Example values for inbound and outbound webhooks.

use serde_json::{Value, json};

const ENDPOINT: &str = "0197c210-4a7d-7d31-9c52-7f6e5d4c3b2a";
const DELIVERY: &str = "0197c21b-90e5-7b16-8d43-1a2b3c4d5e6f";
const EVENT: &str = "0197c21b-90e4-7f08-a6b1-9e8d7c6b5a40";
const INBOUND_EVENT: &str = "0197c23e-02c9-7a64-b7f0-5d4e3c2b1a09";

/// Returns the example value of a field, by its message and its name.
pub(crate) fn by_name(message: &str, field: &str) -> Option<Value> {
    Some(match (message, field) {
        ("WebhookEndpoint", "id") | (_, "endpoint_id") => json!(ENDPOINT),
        ("WebhookDelivery", "id") | (_, "delivery_id") => json!(DELIVERY),
        ("WebhookDelivery", "event_id") => json!(EVENT),
        ("InboundEvent", "id") | (_, "event_id") => json!(INBOUND_EVENT),
        (_, "provider_event_id") => json!("evt_1PgafmB7WZ01zgkW6dKueIc5"),
        ("InboundEvent", "type") => json!("payment_intent.succeeded"),
        ("InboundEvent", "payload") => {
            json!(r#"{"id":"evt_1PgafmB7WZ01zgkW6dKueIc5","type":"payment_intent.succeeded"}"#)
        }
        ("InboundEvent", "state") => json!("INBOUND_EVENT_STATE_PROCESSED"),
        ("WebhookDelivery", "payload") => {
            json!(r#"{"type":"ticket.created","timestamp":"2026-03-02T08:15:30Z","data":{}}"#)
        }
        ("WebhookDelivery", "state") => json!("WEBHOOK_DELIVERY_STATE_DELIVERED"),
        ("WebhookEndpoint", "status") => json!("WEBHOOK_ENDPOINT_STATUS_ENABLED"),
        ("WebhookAttempt", "status") => json!(200),
        ("WebhookAttempt", "duration_ms") => json!("84"),
        ("ReceiveWebhookRequest", "provider") => json!("stripe"),
        ("CreateWebhookEndpointResponse" | "RotateWebhookSecretResponse", "secret") => {
            json!("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        }
        (_, "url") => json!("https://hooks.example.com/mainstay"),
        (_, "description") => json!("The warehouse"),
        (_, "overlap_seconds") => json!(86_400),
        ("WebhookAttempt", "start_time") => json!("2026-03-02T08:15:31Z"),
        ("RedrivenEvents", "more") => json!(false),
        _ => return None,
    })
}

/// Returns whether an example omits a field: the endpoint is healthy, the delivery succeeded, the event was processed.
pub(crate) fn is_left_out(message: &str, field: &str) -> bool {
    matches!(
        (message, field),
        ("WebhookEndpoint", "failing_since_time" | "old_secret_expire_time")
            | ("WebhookDelivery", "next_attempt_time")
            | ("WebhookAttempt" | "InboundEvent", "failure")
    )
}
