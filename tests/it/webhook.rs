//! Webhooks in both directions: events that providers deliver, and deliveries to endpoints.

mod due;
mod endpoints;
pub(crate) mod inbound;
mod outbound;
mod secrets;
mod sender_crash;

use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::{
    cases::Scene,
    support::{
        Protocol, TestApp,
        receiver::{Delivery, Receiver},
    },
};

/// Starts an app that delivers to receivers on this machine, with short waits.
async fn start_app(variables: &[(&str, &str)]) -> TestApp {
    TestApp::builder()
        .set("WEBHOOK_ALLOW_PRIVATE", "true")
        .set("WEBHOOK_FIRST_WAIT", "1ms")
        .with_jobs()
        .set_all(variables.iter().copied())
        .start()
        .await
}

/// Creates an endpoint and returns its id and secret.
pub(crate) async fn create_endpoint(scene: &Scene, receiver: &Receiver, types: &[&str]) -> (String, String) {
    let request = json!({ "url": receiver.url(), "eventTypes": types, "accountId": scene.account() });
    let response = scene.cast.admin.rest("WebhookEndpointService.CreateWebhookEndpoint", request).await.success();
    (response.id(), response.text("/secret"))
}

/// Whether one of the signatures was made with a secret.
fn is_signed(delivery: &Delivery, secret: &str) -> bool {
    let secret = BASE64_STANDARD.decode(secret.strip_prefix("whsec_").expect("a prefix")).expect("base64");
    let text = format!("{}.{}.{}", delivery.header("webhook-id"), delivery.header("webhook-timestamp"), delivery.body);
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), text.as_bytes());
    let expected = format!("v1,{}", BASE64_STANDARD.encode(mac));
    delivery.header("webhook-signature").split(' ').any(|signature| signature == expected)
}

async fn list_deliveries(scene: &Scene, endpoint: &str) -> Vec<Value> {
    let list = scene.cast.admin.call(
        Protocol::Grpc,
        "WebhookDeliveryService.ListWebhookDeliveries",
        json!({ "endpointId": endpoint }),
    );
    list.await.success().data().as_array().expect("a list").clone()
}

/// Waits until the only delivery of an endpoint is in a state, and returns it with its attempts.
async fn wait_for_delivery(scene: &Scene, endpoint: &str, state: &str) -> Value {
    let since = Instant::now();
    loop {
        if let [delivery] = list_deliveries(scene, endpoint).await.as_slice()
            && delivery["state"] == format!("WEBHOOK_DELIVERY_STATE_{state}")
        {
            let request = json!({ "deliveryId": delivery["id"] });
            return scene
                .cast
                .admin
                .rest("WebhookDeliveryService.GetWebhookDelivery", request)
                .await
                .success()
                .data()
                .clone();
        }
        assert!(since.elapsed() < Duration::from_secs(60), "not {state}: {:?}", list_deliveries(scene, endpoint).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn endpoint_status(scene: &Scene, endpoint: &str) -> Value {
    let request = json!({ "endpointId": endpoint });
    let got = scene.cast.admin.rest("WebhookEndpointService.GetWebhookEndpoint", request).await.success();
    got.data()["status"].clone()
}
