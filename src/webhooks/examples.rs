//! Example values for the API description.

use mainstay_kernel::http::openapi::examples::Example;
use serde_json::json;

const ENDPOINT: &str = "0197c210-4a7d-7d31-9c52-7f6e5d4c3b2a";
const DELIVERY: &str = "0197c21b-90e5-7b16-8d43-1a2b3c4d5e6f";
const EVENT: &str = "0197c21b-90e4-7f08-a6b1-9e8d7c6b5a40";
const INBOUND_EVENT: &str = "0197c23e-02c9-7a64-b7f0-5d4e3c2b1a09";

/// Returns the example of a field, by its message and its name.
pub(super) fn by_name(message: &str, field: &str) -> Option<Example> {
    Some(match (message, field) {
        ("WebhookEndpoint", "id") | (_, "endpoint_id") => json!(ENDPOINT).into(),
        ("WebhookDelivery", "id") | (_, "delivery_id") => json!(DELIVERY).into(),
        ("WebhookDelivery", "event_type") => json!("support.ticket.created").into(),
        (_, "event_types") => json!("support.ticket.created").into(),
        ("WebhookDelivery", "event_id") => json!(EVENT).into(),
        ("InboundEvent", "id") | (_, "event_id") => json!(INBOUND_EVENT).into(),
        (_, "provider_event_id") => json!("evt_1PgafmB7WZ01zgkW6dKueIc5").into(),
        ("InboundEvent", "type") => json!("payment_intent.succeeded").into(),
        ("InboundEvent", "payload") => {
            json!(r#"{"id":"evt_1PgafmB7WZ01zgkW6dKueIc5","type":"payment_intent.succeeded"}"#).into()
        }
        ("InboundEvent", "state") => json!("INBOUND_EVENT_STATE_PROCESSED").into(),
        ("WebhookDelivery", "payload") => {
            json!(r#"{"type":"support.ticket.created","timestamp":"2026-03-02T08:15:30Z","data":{}}"#).into()
        }
        ("WebhookDelivery", "state") => json!("WEBHOOK_DELIVERY_STATE_DELIVERED").into(),
        ("WebhookEndpoint", "status") => json!("WEBHOOK_ENDPOINT_STATUS_ENABLED").into(),
        ("WebhookAttempt" | "WebhookTest", "status") => json!(200).into(),
        ("WebhookAttempt" | "WebhookTest", "duration_ms") => json!("84").into(),
        ("ReceiveWebhookRequest", "provider") | (_, "provider_name" | "provider_names") => json!("stripe").into(),
        ("AnswerWebhookChallengeRequest", "provider") => json!("generic").into(),
        ("AnswerWebhookChallengeRequest", "challenge" | "crc_token") => Example::Omitted,
        ("ReceiveWebhookRequest", "validation_token") => Example::Omitted,
        ("WebhookSubscription", "mode") => json!("subscribe").into(),
        ("WebhookSubscription", "verify_token") => json!("a_token_of_16_characters").into(),
        ("WebhookSubscription", "challenge") => json!("1158201444").into(),
        ("CreateWebhookEndpointResponse" | "RotateWebhookSecretResponse", "secret") => {
            json!("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").into()
        }
        (_, "url") => json!("https://hooks.example.com/mainstay").into(),
        (_, "description") => json!("The warehouse").into(),
        (_, "overlap_seconds") => json!(86_400).into(),
        ("WebhookAttempt", "start_time") => json!("2026-03-02T08:15:31Z").into(),
        ("RedrivenEvents", "more") => json!(false).into(),
        ("WebhookEndpoint", "failing_since_time" | "old_secret_expire_time") => Example::Omitted,
        ("WebhookDelivery", "next_attempt_time") => Example::Omitted,
        ("WebhookAttempt" | "InboundEvent", "failure") => Example::Omitted,
        _ => return None,
    })
}
