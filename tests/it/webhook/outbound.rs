//! Outbound deliveries: committed atomically with the change that caused them, signed, and retried after failures.

use serde_json::{Value, json};

use super::{create_endpoint, endpoint_status, is_signed, list_deliveries, start_app, wait_for_delivery};
use crate::{
    cases::{Scene, draft},
    support::{PROTOCOLS, Protocol, TestApp, eventually, receiver::Receiver},
};

#[tokio::test(flavor = "multi_thread")]
async fn each_change_is_delivered_once_and_signed() {
    let app = start_app(&[]).await;
    let scene = Scene::new(&app).await;
    let receiver = Receiver::answering(&[204]).await;
    let (id, secret) = create_endpoint(&scene, &receiver, &["support.ticket.created", "support.ticket.resolved"]).await;
    let ticket = scene.ticket().await;
    let assign = json!({ "ticketId": ticket, "assigneeId": scene.cast.agent.as_user().id });
    scene.cast.agent.rest("TicketService.AssignTicket", assign).await.success();
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
    let count = app.database.number("SELECT count(*) FROM webhook_deliveries").await;
    assert_eq!((receiver.deliveries().len(), count), (2, 2), "and nothing else");
}

/// The type was stored by a version with another module, and this version does not know it.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_event_type_does_not_mean_all_types() {
    let (app, scene) = Scene::start_with(TestApp::builder().set("WEBHOOK_ALLOW_PRIVATE", "true")).await;
    let receiver = Receiver::answering(&[204]).await;
    let (id, _) = create_endpoint(&scene, &receiver, &[]).await;
    app.database.sql("UPDATE webhook_endpoints SET kinds = '{fleet.vehicle.sold}'").await;
    scene.ticket().await;
    assert_eq!(
        app.database.number("SELECT count(*) FROM webhook_deliveries").await,
        0,
        "nothing of what it did not ask"
    );
    let get = json!({ "endpointId": id });
    let get = scene.cast.admin.rest("WebhookEndpointService.GetWebhookEndpoint", get).await;
    assert_eq!(get.success().data()["eventTypes"], json!(["fleet.vehicle.sold"]));
    app.database.sql("UPDATE webhook_endpoints SET kinds = '{}'").await;
    scene.ticket().await;
    assert_eq!(app.database.number("SELECT count(*) FROM webhook_deliveries").await, 1, "none means all");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_rolled_back_is_not_delivered() {
    let (app, scene) =
        Scene::start_with(TestApp::builder().set("WEBHOOK_ALLOW_PRIVATE", "true").set("OPEN_TICKET_LIMIT", "1")).await;
    let receiver = Receiver::answering(&[204]).await;
    create_endpoint(&scene, &receiver, &[]).await;
    scene.ticket().await;
    let call = scene.cast.customer.rest("TicketService.CreateTicket", draft());
    call.await.failure("OPEN_TICKET_LIMIT_REACHED");
    let rows = "SELECT (SELECT count(*) FROM webhook_deliveries) * 10 + (SELECT count(*) FROM jobs WHERE kind = 'deliver_webhook')";
    assert_eq!(app.database.number(rows).await, 11, "one delivery and its job, written with the ticket");
    app.database.sql("ALTER TABLE webhook_deliveries ADD CHECK (false) NOT VALID").await;
    let tickets = app.database.number("SELECT count(*) FROM tickets").await;
    let stranger = json!({ "accountId": scene.account(), "subject": "One", "body": "Text" });
    scene.cast.agent.rest("TicketService.CreateTicket", stranger).await.failure("INTERNAL_ERROR");
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
    let (id, secret) = create_endpoint(&scene, &receiver, &[]).await;
    scene.ticket().await;
    let delivery = wait_for_delivery(&scene, &id, "DELIVERED").await;
    let attempts = delivery["attempts"].as_array().expect("attempts");
    let statuses: Vec<_> = attempts.iter().map(|attempt| attempt["status"].clone()).collect();
    assert_eq!(statuses, [json!(500), json!(302), json!(200)], "{delivery}");
    assert!(attempts[0]["failure"].is_string() && attempts[2]["failure"].is_null(), "{delivery}");
    let deliveries = receiver.wait_for(3).await;
    assert!(deliveries.iter().all(|one| one.body == deliveries[0].body && is_signed(one, &secret)));
    assert!(
        deliveries.iter().all(|one| one.header("webhook-id") == delivery["eventId"]),
        "one event, however often it is delivered"
    );

    let resend = json!({ "deliveryId": delivery["id"] });
    let name = "WebhookDeliveryService.ResendWebhookDelivery";
    let resent = scene.cast.admin.keyed(Protocol::Rest, name, resend.clone(), "again").await.success();
    let polled = format!("/api/v1/webhook-deliveries/{}", delivery["id"].as_str().expect("an id"));
    assert_eq!((resent.status, resent.header("location")), (202, Some(&*polled)), "{resent:#?}");
    assert_eq!(resent.header("retry-after"), Some("1"), "{resent:#?}");
    let again = receiver.wait_for(4).await;
    assert_eq!(again[3].header("webhook-id"), delivery["eventId"], "recognized");
    let delivery = wait_for_delivery(&scene, &id, "DELIVERED").await;
    assert_eq!(delivery["attemptCount"], 4, "{delivery}");
    for protocol in PROTOCOLS {
        let now = scene.cast.admin.keyed(protocol, name, resend.clone(), "again").await.success();
        // A 202 response is updated to its current state.
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
    let (id, _) = create_endpoint(&scene, &receiver, &[]).await;
    scene.ticket().await;
    // The waits of its last attempts are made due.
    let due = "UPDATE webhook_deliveries SET next_attempt_at = now() WHERE next_attempt_at IS NOT NULL";
    let failed = "SELECT count(*) FROM webhook_deliveries WHERE state = 3";
    eventually("the last attempt has failed", async || {
        app.database.sql(due).await;
        app.database.sql("UPDATE jobs SET due_at = now() WHERE lease IS NULL").await;
        app.database.number(failed).await == 1
    })
    .await;
    let failed = wait_for_delivery(&scene, &id, "FAILED").await;
    assert_eq!((&failed["attemptCount"], receiver.deliveries().len()), (&json!(13), 13), "{failed}");
    assert_eq!(endpoint_status(&scene, &id).await, "WEBHOOK_ENDPOINT_STATUS_ENABLED", "it was not long enough yet");
    assert_eq!(app.database.number("SELECT count(*) FROM jobs").await, 0);
}

#[tokio::test]
async fn a_test_event_is_signed_and_not_recorded() {
    let (app, scene) = Scene::start().await;
    let receiver = Receiver::answering(&[202]).await;
    let (id, secret) = create_endpoint(&scene, &receiver, &[]).await;
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
