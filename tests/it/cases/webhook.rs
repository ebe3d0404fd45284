//! Inbound webhooks from providers.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{
    Call, Case,
    Expected::{Reason, Status},
    Scene, call, cases, unknown_id,
};
use crate::support::{Protocol, unique, webhook};

/// The request that delivers an event.
pub(crate) fn webhook_request(provider: &str, body: &str) -> Value {
    json!({ "provider": provider, "body": { "contentType": "application/json", "data": BASE64_STANDARD.encode(body) } })
}

const FORM: &str = "payload=%7B%22zen%22%3A%22Keep+it+logically+awesome.%22%7D";

/// The request that delivers an event in a form.
fn form(provider: &str, body: &str) -> Value {
    let mut form = webhook_request(provider, body);
    form["body"]["contentType"] = json!("application/x-www-form-urlencoded");
    form
}

/// A Stripe event signed with the current time.
fn stripe(scene: &Scene, body: &str) -> Call {
    call(&scene.cast.anonymous, webhook_request("stripe", body)).header("stripe-signature", webhook::stripe(body, 0))
}

/// Inserts an event of an unknown type in a given state.
async fn insert_event(scene: &Scene, state: i16) -> String {
    let id = unknown_id();
    let finished = if state == 1 { "NULL" } else { "now()" };
    let insert = format!(
        "INSERT INTO inbound_events VALUES ('{id}', 1, '{}', 'ping', '{{}}', {state}, 8, 'UNAVAILABLE', 3, now(), now(), {finished})",
        unknown_id()
    );
    scene.database.sql(&insert).await;
    id
}

/// A subscription of the provider of the operator's choice.
fn subscription(provider: &str, token: &str) -> Value {
    json!({ "provider": provider, "hub": { "mode": "subscribe", "verifyToken": token, "challenge": "repeat this" } })
}

const DEAD: i16 = 4;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = tells();
    cases.extend(reads());
    cases
}

fn tells() -> Vec<Case> {
    cases! {
        "InboundEventService.ReceiveWebhook" {
            "Stripe's" => Status(204), |scene| stripe(&scene, &webhook::event("ping"));
            "Standard Webhooks" => Status(204), |scene| {
                let (body, id) = (webhook::event("ping"), unique());
                let [timestamp, signature] = webhook::standard(&id, &body);
                call(&scene.cast.anonymous, webhook_request("standard", &body))
                    .header("webhook-id", id)
                    .header("webhook-timestamp", timestamp)
                    .header("webhook-signature", signature)
            };
            "GitHub's" => Status(204), |scene| {
                let body = r#"{"zen":"Keep it logically awesome."}"#;
                call(&scene.cast.anonymous, webhook_request("github", body))
                    .header("x-hub-signature-256", webhook::github(body))
                    .header("x-github-delivery", unknown_id())
                    .header("x-github-event", "ping")
            };
            "a second time" => Status(204), |scene| {
                let again = stripe(&scene, &webhook::event("ping"));
                again.send(Protocol::Rest, "InboundEventService.ReceiveWebhook").await.success();
                again
            };
            "a challenge" => Status(200), |scene| {
                let body = r#"{"type":"url_verification","challenge":"repeat_this"}"#;
                call(&scene.cast.anonymous, webhook_request("generic", body)).header("x-signature", webhook::generic(body))
            };
            "unsigned" => Reason("INVALID_SIGNATURE"), |scene| {
                call(&scene.cast.anonymous, webhook_request("stripe", &webhook::event("ping")))
            };
            "signed for another body" => Reason("INVALID_SIGNATURE"), |scene| {
                let signed = webhook::event("ping");
                call(&scene.cast.anonymous, webhook_request("stripe", &format!("{signed} "))).header("stripe-signature", webhook::stripe(&signed, 0))
            };
            "signed too long ago" => Reason("INVALID_SIGNATURE"), |scene| {
                let body = webhook::event("ping");
                call(&scene.cast.anonymous, webhook_request("stripe", &body)).header("stripe-signature", webhook::stripe(&body, -310))
            };
            "signed in the future" => Reason("INVALID_SIGNATURE"), |scene| {
                let body = webhook::event("ping");
                call(&scene.cast.anonymous, webhook_request("stripe", &body)).header("stripe-signature", webhook::stripe(&body, 310))
            };
            "signed by a clock that is ahead" => Status(204), |scene| {
                let body = webhook::event("ping");
                call(&scene.cast.anonymous, webhook_request("stripe", &body)).header("stripe-signature", webhook::stripe(&body, 290))
            };
            "from an unknown provider" => Reason("NOT_FOUND"), |scene| call(&scene.cast.anonymous, webhook_request("acme", "{}"));
            "not an event" => Reason("MALFORMED_REQUEST"), |scene| stripe(&scene, "[]");
            "a form of GitHub's" => Status(204), |scene| {
                call(&scene.cast.anonymous, form("github", FORM))
                    .header("x-hub-signature-256", webhook::github(FORM))
                    .header("x-github-delivery", unknown_id())
                    .header("x-github-event", "ping")
            };
            "a form that GitHub signed otherwise" => Reason("INVALID_SIGNATURE"), |scene| {
                call(&scene.cast.anonymous, form("github", FORM)).header("x-hub-signature-256", webhook::github("{}"))
            };
            "a form of another provider" => Reason("UNSUPPORTED_MEDIA_TYPE"), |scene| {
                call(&scene.cast.anonymous, form("stripe", FORM)).header("stripe-signature", webhook::stripe(FORM, 0))
            };
        }
    }
}

fn reads() -> Vec<Case> {
    cases! {
        "InboundEventService.AnswerWebhookChallenge" {
            "a subscription" => Status(200), |scene| {
                call(&scene.cast.anonymous, subscription("generic", webhook::GENERIC_TOKEN))
            };
            "with another token" => Reason("INVALID_SIGNATURE"), |scene| {
                call(&scene.cast.anonymous, subscription("generic", "another_token_of_16"))
            };
            "a provider that sends none" => Reason("INVALID_SIGNATURE"), |scene| {
                call(&scene.cast.anonymous, subscription("stripe", webhook::GENERIC_TOKEN))
            };
            "an unknown provider" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.anonymous, subscription("acme", webhook::GENERIC_TOKEN))
            };
            "too long" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.anonymous, json!({ "provider": "generic", "challenge": "x".repeat(1025) }))
            };
        }
        "InboundEventService.GetInboundEvent" {
            "an existing one" => Status(200), |scene| call(&scene.cast.admin, json!({ "eventId": insert_event(&scene, DEAD).await }));
            "some of its fields" => Status(200), |scene| {
                call(&scene.cast.admin, json!({ "eventId": insert_event(&scene, 1).await, "readMask": "id,state,failure" }))
            };
            "an unknown id" => Reason("NOT_FOUND"), |scene| call(&scene.cast.admin, json!({ "eventId": unknown_id() }));
            "an agent may not" => Reason("PERMISSION_DENIED"), |scene| {
                call(&scene.cast.agent, json!({ "eventId": insert_event(&scene, DEAD).await }))
            };
        }
        "InboundEventService.ListInboundEvents" {
            // Not the first page: its total includes the events of other cases.
            "a page" => Status(200), |scene| {
                for _ in 0..3 {
                    insert_event(&scene, DEAD).await;
                }
                let list = json!({ "pageSize": 1, "provider": "WEBHOOK_PROVIDER_STRIPE", "state": "INBOUND_EVENT_STATE_DEAD" });
                let page = scene.cast.admin.rest("InboundEventService.ListInboundEvents", list.clone()).await.success();
                let mut next = list;
                next["pageToken"] = page.text("/meta/nextPageToken").into();
                next["readMask"] = json!("state,attempts");
                call(&scene.cast.admin, next)
            };
            "without a provider" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, json!({ "provider": "WEBHOOK_PROVIDER_UNSPECIFIED" }))
            };
            "a token of another list" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, json!({ "pageToken": "bm9uc2Vuc2U" }))
            };
        }
        "InboundEventService.RedriveInboundEvent" {
            "a dead one" => Status(202), |scene| call(&scene.cast.admin, json!({ "eventId": insert_event(&scene, DEAD).await }));
            "one that is pending" => Reason("EVENT_PENDING"), |scene| {
                call(&scene.cast.admin, json!({ "eventId": insert_event(&scene, 1).await }))
            };
            "one that was processed" => Reason("EVENT_PROCESSED"), |scene| {
                call(&scene.cast.admin, json!({ "eventId": insert_event(&scene, 2).await }))
            };
            "an unknown id" => Reason("NOT_FOUND"), |scene| call(&scene.cast.admin, json!({ "eventId": unknown_id() }));
        }
        "InboundEventService.RedriveInboundEvents" {
            "those of a provider" => Status(200), |scene| {
                call(&scene.cast.admin, json!({ "provider": "WEBHOOK_PROVIDER_GITHUB" }))
            };
            "a customer may not" => Reason("PERMISSION_DENIED"), |scene| call(&scene.cast.customer, json!({}));
        }
    }
}
