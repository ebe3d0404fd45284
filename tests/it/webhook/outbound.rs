//! Outbound deliveries: committed with the change that caused them or not at all, signed, retried after failures, and
//! never sent to private networks.

use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use mainstay::webhooks::delivery::job::DeliverWebhook;
use mainstay::webhooks::id::{WebhookDeliveryId, WebhookEndpointId};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    cases::{Scene, draft},
    support::{
        PROTOCOLS, Protocol, TestApp, eventually,
        receiver::{Delivery, Receiver},
    },
};

/// Starts an app that delivers to receivers on this machine, with short waits.
pub(super) async fn start_app(own: &[(&str, &str)]) -> TestApp {
    TestApp::builder()
        .set("WEBHOOK_ALLOW_PRIVATE", "true")
        .set("WEBHOOK_FIRST_WAIT", "1ms")
        .with_jobs()
        .set_all(own.iter().copied())
        .start()
        .await
}

/// Creates an endpoint and returns its id and secret.
pub(crate) async fn endpoint(scene: &Scene, receiver: &Receiver, types: &[&str]) -> (String, String) {
    let request = json!({ "url": receiver.url(), "eventTypes": types, "accountId": scene.account() });
    let made =
        scene.cast.admin.call(Protocol::Rest, "WebhookEndpointService.CreateWebhookEndpoint", request).await.success();
    (made.id(), made.text("/secret"))
}

/// Whether one of the signatures was made with a secret.
fn is_signed(delivery: &Delivery, secret: &str) -> bool {
    let secret = BASE64_STANDARD.decode(secret.strip_prefix("whsec_").expect("a prefix")).expect("base64");
    let text = format!("{}.{}.{}", delivery.header("webhook-id"), delivery.header("webhook-timestamp"), delivery.body);
    let made = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), text.as_bytes());
    let wanted = format!("v1,{}", BASE64_STANDARD.encode(made));
    delivery.header("webhook-signature").split(' ').any(|signature| signature == wanted)
}

pub(super) async fn list_deliveries(scene: &Scene, endpoint: &str) -> Vec<Value> {
    let list = scene.cast.admin.call(
        Protocol::Grpc,
        "WebhookDeliveryService.ListWebhookDeliveries",
        json!({ "endpointId": endpoint }),
    );
    list.await.success().data().as_array().expect("a list").clone()
}

/// Waits until the only delivery of an endpoint is in a state, and returns it with its attempts.
pub(super) async fn delivery_in_state(scene: &Scene, endpoint: &str, state: &str) -> Value {
    let since = Instant::now();
    loop {
        if let [delivery] = list_deliveries(scene, endpoint).await.as_slice()
            && delivery["state"] == format!("WEBHOOK_DELIVERY_STATE_{state}")
        {
            let request = json!({ "deliveryId": delivery["id"] });
            return scene
                .cast
                .admin
                .call(Protocol::Rest, "WebhookDeliveryService.GetWebhookDelivery", request)
                .await
                .success()
                .data()
                .clone();
        }
        assert!(since.elapsed() < Duration::from_secs(60), "not {state}: {:?}", list_deliveries(scene, endpoint).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(super) async fn status(scene: &Scene, endpoint: &str) -> Value {
    let request = json!({ "endpointId": endpoint });
    scene.cast.admin.call(Protocol::Rest, "WebhookEndpointService.GetWebhookEndpoint", request).await.success().data()["status"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_is_delivered_once_and_signed() {
    let app = start_app(&[]).await;
    let scene = Scene::new(&app).await;
    let receiver = Receiver::answering(&[204]).await;
    let (id, secret) = endpoint(&scene, &receiver, &["support.ticket.created", "support.ticket.resolved"]).await;
    let ticket = scene.ticket().await;
    let assign = json!({ "ticketId": ticket, "assigneeId": scene.cast.agent.who().id });
    scene.cast.agent.call(Protocol::Rest, "TicketService.AssignTicket", assign).await.success();
    scene.cast.agent.call(Protocol::Grpc, "TicketService.ResolveTicket", json!({ "ticketId": ticket })).await.success();
    // An event of another account, which the endpoint does not receive.
    Scene::new(&app).await.ticket().await;
    let mut deliveries = receiver.wait_for(2).await;
    deliveries.sort_by_key(|delivery| delivery.body.len());
    let events: Vec<Value> =
        deliveries.iter().map(|delivery| serde_json::from_str(&delivery.body).expect("JSON")).collect();
    let data = |version: &str| json!({ "id": ticket, "accountId": scene.account(), "version": version });
    assert_eq!((&events[0]["type"], &events[0]["data"]), (&json!("support.ticket.created"), &data("1")));
    assert_eq!((&events[1]["type"], &events[1]["data"]), (&json!("support.ticket.resolved"), &data("3")));
    assert!(deliveries.iter().all(|delivery| is_signed(delivery, &secret)), "{deliveries:?}");
    assert!(deliveries.iter().all(|delivery| delivery.header("content-type") == "application/json"));
    let is_delivered = |delivery: &Value| delivery["state"] == "WEBHOOK_DELIVERY_STATE_DELIVERED";
    eventually("everything is delivered", async || list_deliveries(&scene, &id).await.iter().all(is_delivered)).await;
    let stored = app.database.number("SELECT count(*) FROM webhook_deliveries").await;
    assert_eq!((receiver.deliveries().len(), stored), (2, 2), "and nothing else");
}

/// The type was stored by a version with another module, and this version does not know it.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_event_type_does_not_mean_all_types() {
    let app = TestApp::builder().set("WEBHOOK_ALLOW_PRIVATE", "true").start().await;
    let scene = Scene::new(&app).await;
    let receiver = Receiver::answering(&[204]).await;
    let (id, _) = endpoint(&scene, &receiver, &[]).await;
    app.database.sql("UPDATE webhook_endpoints SET kinds = '{fleet.vehicle.sold}'").await;
    scene.ticket().await;
    assert_eq!(
        app.database.number("SELECT count(*) FROM webhook_deliveries").await,
        0,
        "nothing of what it did not ask"
    );
    let get = json!({ "endpointId": id });
    let get = scene.cast.admin.call(Protocol::Rest, "WebhookEndpointService.GetWebhookEndpoint", get).await;
    assert_eq!(get.success().data()["eventTypes"], json!(["fleet.vehicle.sold"]));
    app.database.sql("UPDATE webhook_endpoints SET kinds = '{}'").await;
    scene.ticket().await;
    assert_eq!(app.database.number("SELECT count(*) FROM webhook_deliveries").await, 1, "none means all");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_rolled_back_is_not_delivered() {
    let app = TestApp::builder().set("WEBHOOK_ALLOW_PRIVATE", "true").set("OPEN_TICKET_LIMIT", "1").start().await;
    let scene = Scene::new(&app).await;
    let receiver = Receiver::answering(&[204]).await;
    endpoint(&scene, &receiver, &[]).await;
    scene.ticket().await;
    let refused = scene.cast.customer.call(Protocol::Rest, "TicketService.CreateTicket", draft());
    refused.await.failure("OPEN_TICKET_LIMIT_REACHED");
    let rows = "SELECT (SELECT count(*) FROM webhook_deliveries) * 10 + (SELECT count(*) FROM jobs WHERE kind = 'deliver_webhook')";
    assert_eq!(app.database.number(rows).await, 11, "one delivery and its job, written with the ticket");
    app.database.sql("ALTER TABLE webhook_deliveries ADD CHECK (false) NOT VALID").await;
    let tickets = app.database.number("SELECT count(*) FROM tickets").await;
    let stranger = json!({ "accountId": scene.account(), "subject": "One", "body": "Text" });
    scene.cast.agent.call(Protocol::Rest, "TicketService.CreateTicket", stranger).await.failure("INTERNAL_ERROR");
    assert_eq!(
        app.database.number("SELECT count(*) FROM tickets").await,
        tickets,
        "what can't be reported does not happen"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_retried_and_logged_and_a_failed_delivery_can_be_resent() {
    let app = start_app(&[]).await;
    let scene = Scene::new(&app).await;
    let receiver = Receiver::answering(&[500, 302, 200]).await;
    let (id, secret) = endpoint(&scene, &receiver, &[]).await;
    scene.ticket().await;
    let done = delivery_in_state(&scene, &id, "DELIVERED").await;
    let attempts = done["attempts"].as_array().expect("attempts");
    let statuses: Vec<_> = attempts.iter().map(|attempt| attempt["status"].clone()).collect();
    assert_eq!(statuses, [json!(500), json!(302), json!(200)], "{done}");
    assert!(attempts[0]["failure"].is_string() && attempts[2]["failure"].is_null(), "{done}");
    let deliveries = receiver.wait_for(3).await;
    assert!(deliveries.iter().all(|one| one.body == deliveries[0].body && is_signed(one, &secret)));
    assert!(
        deliveries.iter().all(|one| one.header("webhook-id") == done["eventId"]),
        "one event, however often it is delivered"
    );

    let resend = json!({ "deliveryId": done["id"] });
    let name = "WebhookDeliveryService.ResendWebhookDelivery";
    let resent = scene.cast.admin.keyed(Protocol::Rest, name, resend.clone(), "again").await.success();
    let polled = format!("/api/v1/webhook-deliveries/{}", done["id"].as_str().expect("an id"));
    assert_eq!((resent.status, resent.header("location")), (202, Some(&*polled)), "{resent:#?}");
    assert_eq!(resent.header("retry-after"), Some("1"), "{resent:#?}");
    let again = receiver.wait_for(4).await;
    assert_eq!(again[3].header("webhook-id"), done["eventId"], "recognized");
    let done = delivery_in_state(&scene, &id, "DELIVERED").await;
    assert_eq!(done["attemptCount"], 4, "{done}");
    for protocol in PROTOCOLS {
        let now = scene.cast.admin.keyed(protocol, name, resend.clone(), "again").await.success();
        // A 202 is followed to its current state.
        assert!(now.is_replayed() && now.status == 200, "{now:#?}");
        assert_eq!(now.data()["attemptCount"], 4, "{now:#?}");
    }
    assert_eq!(receiver.deliveries().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_fails_after_its_last_attempt() {
    let app = start_app(&[]).await;
    let scene = Scene::new(&app).await;
    let receiver = Receiver::answering(&[503]).await;
    let (id, _) = endpoint(&scene, &receiver, &[]).await;
    scene.ticket().await;
    let failed = delivery_in_state(&scene, &id, "FAILED").await;
    assert_eq!((&failed["attemptCount"], receiver.deliveries().len()), (&json!(9), 9), "{failed}");
    assert_eq!(status(&scene, &id).await, "WEBHOOK_ENDPOINT_STATUS_ENABLED", "it was not long enough yet");
    assert_eq!(app.database.number("SELECT count(*) FROM jobs").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_secrets_sign_during_a_rotation() {
    let app = start_app(&[]).await;
    let scene = Scene::new(&app).await;
    let receiver = Receiver::answering(&[200]).await;
    let (id, first) = endpoint(&scene, &receiver, &["support.ticket.created"]).await;
    let rotate = json!({ "endpointId": id, "overlapSeconds": 60 });
    let second = scene
        .cast
        .admin
        .call(Protocol::Rest, "WebhookEndpointService.RotateWebhookSecret", rotate)
        .await
        .success()
        .text("/secret");
    scene.ticket().await;
    let deliveries = receiver.wait_for(1).await;
    assert!(
        is_signed(&deliveries[0], &first) && is_signed(&deliveries[0], &second) && first != second,
        "{deliveries:?}"
    );
    app.app.clock.advance(chrono::TimeDelta::seconds(61));
    scene.ticket().await;
    let deliveries = receiver.wait_for(2).await;
    assert!(!is_signed(&deliveries[1], &first) && is_signed(&deliveries[1], &second), "{deliveries:?}");
    // Neither secret is readable anywhere.
    let shown = scene
        .cast
        .admin
        .call(Protocol::Rest, "WebhookEndpointService.GetWebhookEndpoint", json!({ "endpointId": id }))
        .await
        .success();
    assert!(!shown.body.to_string().contains("whsec_"), "{shown:?}");
    let kept = app.database.sql("SELECT webhook_endpoints::text FROM webhook_endpoints").await;
    assert!(!format!("{kept:?}").contains(&second[6..]), "{kept:?}");
}

#[tokio::test]
async fn a_test_event_is_signed_and_not_recorded() {
    let app = TestApp::start().await;
    let scene = Scene::new(&app).await;
    let receiver = Receiver::answering(&[202]).await;
    let (id, secret) = endpoint(&scene, &receiver, &[]).await;
    for (number, protocol) in PROTOCOLS.into_iter().enumerate() {
        let request = json!({ "endpointId": id });
        let test =
            scene.cast.admin.call(protocol, "WebhookEndpointService.TestWebhookEndpoint", request).await.success();
        assert_eq!(test.data()["status"], 202);
        let delivery = receiver.wait_for(number + 1).await.pop().expect("one");
        assert!(is_signed(&delivery, &secret) && delivery.body.contains("\"webhooks.endpoint.test\""), "{delivery:?}");
    }
    assert_eq!(app.database.number("SELECT count(*) FROM webhook_deliveries").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn private_networks_are_not_reachable() {
    let allowed = TestApp::builder().set("WEBHOOK_ALLOW_PRIVATE", "true").start().await;
    let scene = Scene::new(&allowed).await;
    let receiver = Receiver::answering(&[200]).await;
    let (id, _) = endpoint(&scene, &receiver, &[]).await;
    // The same endpoint in an app that does not allow private addresses: whatever URL is stored, the app does not
    // connect.
    let strict = TestApp::builder().on(&allowed.database).set("WEBHOOK_ALLOW_PRIVATE", "false").start().await;
    for url in
        [receiver.url(), receiver.url().replace("127.0.0.1", "localhost"), receiver.url().replace("127.0.0.1", "127.1")]
    {
        let delivery = mainstay_kernel::id::new(strict.app.clock.now());
        let stored = format!(
            "UPDATE webhook_endpoints SET url = '{url}';
             INSERT INTO webhook_deliveries VALUES ('{delivery}', '{id}', '{delivery}', 'support.ticket.created', '{{}}', 1, 0, 0, now(), 1, now(), now())"
        );
        allowed.database.sql(&stored).await;
        let endpoint = WebhookEndpointId(id.parse().expect("an id"));
        let job = DeliverWebhook { delivery: WebhookDeliveryId(delivery), endpoint };
        let stop = CancellationToken::new();
        mainstay::webhooks::delivery::ops::deliver_due(&strict.app, job, &stop).await.expect("written down");
        let attempts =
            format!("SELECT failure FROM webhook_attempts WHERE delivery_id = '{delivery}' AND status IS NULL");
        let failure = allowed.database.sql(&attempts).await[0][0].clone().expect("a failure");
        assert!(failure.contains("not a public one"), "{url}: {failure}");
    }
    assert_eq!(receiver.deliveries().len(), 0, "{:?}", receiver.deliveries());
}
