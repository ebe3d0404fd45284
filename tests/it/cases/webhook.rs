//! Inbound webhooks from providers.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{
    Ask, Case,
    Ends::{For, With},
    Scene, ask, cases, nothing,
};
use crate::support::{Door, unique, webhook};

/// The request that delivers an event.
pub(crate) fn told(provider: &str, body: &str) -> Value {
    json!({ "provider": provider, "body": { "contentType": "application/json", "data": BASE64_STANDARD.encode(body) } })
}

/// A Stripe event signed with the current time.
fn stripe(scene: &Scene, body: &str) -> Ask {
    ask(&scene.cast.anonymous, told("stripe", body)).header("stripe-signature", webhook::stripe(body, 0))
}

/// Inserts an event of an unknown type in a given state.
async fn stored(scene: &Scene, state: i16) -> String {
    let id = nothing();
    let finished = if state == 1 { "NULL" } else { "now()" };
    let insert = format!(
        "INSERT INTO inbound_events VALUES ('{id}', 1, '{}', 'ping', '{{}}', {state}, 8, 'UNAVAILABLE', 3, now(), now(), {finished})",
        nothing()
    );
    scene.database.sql(&insert).await;
    id
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
            "Stripe's" => With(204), |scene| stripe(&scene, &webhook::event("ping"));
            "Standard Webhooks" => With(204), |scene| {
                let (body, id) = (webhook::event("ping"), unique());
                let [timestamp, signature] = webhook::standard(&id, &body);
                ask(&scene.cast.anonymous, told("standard", &body))
                    .header("webhook-id", id)
                    .header("webhook-timestamp", timestamp)
                    .header("webhook-signature", signature)
            };
            "GitHub's" => With(204), |scene| {
                let body = r#"{"zen":"Keep it logically awesome."}"#;
                ask(&scene.cast.anonymous, told("github", body))
                    .header("x-hub-signature-256", webhook::github(body))
                    .header("x-github-delivery", nothing())
                    .header("x-github-event", "ping")
            };
            "a second time" => With(204), |scene| {
                let again = stripe(&scene, &webhook::event("ping"));
                again.send(Door::Rest, "InboundEventService.ReceiveWebhook").await.good();
                again
            };
            "unsigned" => For("INVALID_SIGNATURE"), |scene| {
                ask(&scene.cast.anonymous, told("stripe", &webhook::event("ping")))
            };
            "signed for another body" => For("INVALID_SIGNATURE"), |scene| {
                let signed = webhook::event("ping");
                ask(&scene.cast.anonymous, told("stripe", &format!("{signed} "))).header("stripe-signature", webhook::stripe(&signed, 0))
            };
            "signed too long ago" => For("INVALID_SIGNATURE"), |scene| {
                let body = webhook::event("ping");
                ask(&scene.cast.anonymous, told("stripe", &body)).header("stripe-signature", webhook::stripe(&body, -310))
            };
            "signed in the future" => For("INVALID_SIGNATURE"), |scene| {
                let body = webhook::event("ping");
                ask(&scene.cast.anonymous, told("stripe", &body)).header("stripe-signature", webhook::stripe(&body, 60))
            };
            "from an unknown provider" => For("NOT_FOUND"), |scene| ask(&scene.cast.anonymous, told("acme", "{}"));
            "not an event" => For("MALFORMED_REQUEST"), |scene| stripe(&scene, "[]");
            "a form-encoded body" => For("UNSUPPORTED_MEDIA_TYPE"), |scene| {
                let mut form = told("github", "payload=%7B%7D");
                form["body"]["contentType"] = json!("application/x-www-form-urlencoded");
                ask(&scene.cast.anonymous, form).header("x-hub-signature-256", webhook::github("payload=%7B%7D"))
            };
        }
    }
}

fn reads() -> Vec<Case> {
    cases! {
        "InboundEventService.GetInboundEvent" {
            "an existing one" => With(200), |scene| ask(&scene.cast.admin, json!({ "eventId": stored(&scene, DEAD).await }));
            "some of its fields" => With(200), |scene| {
                ask(&scene.cast.admin, json!({ "eventId": stored(&scene, 1).await, "readMask": "id,state,failure" }))
            };
            "an unknown id" => For("NOT_FOUND"), |scene| ask(&scene.cast.admin, json!({ "eventId": nothing() }));
            "an agent may not" => For("PERMISSION_DENIED"), |scene| {
                ask(&scene.cast.agent, json!({ "eventId": stored(&scene, DEAD).await }))
            };
        }
        "InboundEventService.ListInboundEvents" {
            // Not the first page: its total includes the events of other cases.
            "a page" => With(200), |scene| {
                for _ in 0..3 {
                    stored(&scene, DEAD).await;
                }
                let list = json!({ "pageSize": 1, "provider": "WEBHOOK_PROVIDER_STRIPE", "state": "INBOUND_EVENT_STATE_DEAD" });
                let page = scene.cast.admin.call(Door::Rest, "InboundEventService.ListInboundEvents", list.clone()).await.good();
                let mut next = list;
                next["pageToken"] = page.text("/meta/nextPageToken").into();
                next["readMask"] = json!("state,attempts");
                ask(&scene.cast.admin, next)
            };
            "without a provider" => For("VALIDATION_FAILED"), |scene| {
                ask(&scene.cast.admin, json!({ "provider": "WEBHOOK_PROVIDER_UNSPECIFIED" }))
            };
            "a token of another list" => For("VALIDATION_FAILED"), |scene| {
                ask(&scene.cast.admin, json!({ "pageToken": "bm9uc2Vuc2U" }))
            };
        }
        "InboundEventService.RedriveInboundEvent" {
            "a dead one" => With(202), |scene| ask(&scene.cast.admin, json!({ "eventId": stored(&scene, DEAD).await }));
            "one that was processed" => For("BUSINESS_RULE_VIOLATION"), |scene| {
                ask(&scene.cast.admin, json!({ "eventId": stored(&scene, 2).await }))
            };
            "an unknown id" => For("NOT_FOUND"), |scene| ask(&scene.cast.admin, json!({ "eventId": nothing() }));
        }
        "InboundEventService.RedriveInboundEvents" {
            "those of a provider" => With(202), |scene| {
                ask(&scene.cast.admin, json!({ "provider": "WEBHOOK_PROVIDER_GITHUB" }))
            };
            "a customer may not" => For("PERMISSION_DENIED"), |scene| ask(&scene.cast.customer, json!({}));
        }
    }
}
