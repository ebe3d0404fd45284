//! Endpoints: permitted URLs, no access to private networks, disabling after failures, and moving or removing an
//! endpoint.

use std::time::Duration;

use mainstay::webhooks::{
    delivery::{job::DeliverWebhook, ops::deliver_due},
    id::{WebhookDeliveryId, WebhookEndpointId},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{create_endpoint, endpoint_status, list_deliveries, start_app, wait_for_delivery};
use crate::{
    cases::{Scene, role::role},
    support::{Actor, PROTOCOLS, Protocol, TestApp, database::connect, eventually, receiver::Receiver},
};

const CREATE: &str = "WebhookEndpointService.CreateWebhookEndpoint";
const UPDATE: &str = "WebhookEndpointService.UpdateWebhookEndpoint";

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_keeps_failing_is_disabled() {
    for (answer, patience) in [(500, "0s"), (410, "5d")] {
        let app = start_app(&[("WEBHOOK_PATIENCE", patience)]).await;
        let scene = Scene::new(&app).await;
        let receiver = Receiver::answering(&[answer]).await;
        let (id, _) = create_endpoint(&scene, &receiver, &[]).await;
        let ticket = scene.ticket().await;
        let failed = wait_for_delivery(&scene, &id, "FAILED").await;
        assert_eq!(failed["attemptCount"], 1, "{failed}");
        assert_eq!(endpoint_status(&scene, &id).await, "WEBHOOK_ENDPOINT_STATUS_DISABLED_FOR_FAILURES");
        let resend = json!({ "deliveryId": failed["id"] });
        let resent = scene.cast.admin.rest("WebhookDeliveryService.ResendWebhookDelivery", resend.clone());
        resent.await.failure("ENDPOINT_DISABLED");
        scene.cast.agent.rest("TicketService.ResolveTicket", json!({ "ticketId": ticket })).await.success();
        assert_eq!(list_deliveries(&scene, &id).await.len(), 1, "nothing more is delivered");

        receiver.answers(200);
        let enable = json!({ "endpointId": id, "endpoint": { "enabled": true } });
        let enabled = scene.cast.admin.rest("WebhookEndpointService.UpdateWebhookEndpoint", enable).await.success();
        assert_eq!(enabled.data()["failingSinceTime"], Value::Null);
        scene.cast.admin.rest("WebhookDeliveryService.ResendWebhookDelivery", resend).await.success();
        wait_for_delivery(&scene, &id, "DELIVERED").await;
    }
}

/// Removing an endpoint does not touch its deliveries, of which there may be a million, so a locked delivery does not
/// block it. A job removes them afterwards; until then they are hidden.
#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_removed_at_once_and_its_deliveries_after_it() {
    let app = start_app(&[]).await;
    let scene = Scene::new(&app).await;
    let receiver = Receiver::answering(&[204]).await;
    let (id, _) = create_endpoint(&scene, &receiver, &["support.ticket.created"]).await;
    scene.ticket().await;
    let delivery = wait_for_delivery(&scene, &id, "DELIVERED").await["id"].clone();
    // More deliveries than a single batch removes, and one that is still due.
    let many = format!(
        "INSERT INTO webhook_deliveries
         SELECT gen_random_uuid(), '{id}', gen_random_uuid(), 'support.ticket.created', '{{}}', 3, 1, 1, NULL, 1, now(), now() FROM generate_series(1, 2500);
         INSERT INTO webhook_attempts (delivery_id, number, started_at, duration_ms, status)
         SELECT id, 1, now(), 1, 500 FROM webhook_deliveries WHERE state = 3;
         INSERT INTO webhook_deliveries
         VALUES (gen_random_uuid(), '{id}', gen_random_uuid(), 'support.ticket.created', '{{}}', 1, 0, 0, now(), 1, now(), now())"
    );
    app.database.sql(&many).await;
    let query = "SELECT count(*) FROM webhook_deliveries";

    let holder = connect(&app.database.url).await;
    holder.batch_execute("BEGIN; SELECT FROM webhook_deliveries WHERE state = 2 FOR UPDATE").await.expect("a lock");
    let admin = &scene.cast.admin;
    admin.rest("WebhookEndpointService.DeleteWebhookEndpoint", json!({ "endpointId": id })).await.success();
    assert!(app.database.number(query).await > 0);
    let read = json!({ "deliveryId": delivery });
    for (method, request) in [
        ("WebhookDeliveryService.GetWebhookDelivery", &read),
        ("WebhookDeliveryService.ListWebhookDeliveries", &json!({ "endpointId": id })),
    ] {
        admin.rest(method, request.clone()).await.failure("NOT_FOUND");
    }
    holder.batch_execute("COMMIT").await.expect("an end");
    admin.rest("WebhookDeliveryService.ResendWebhookDelivery", read).await.failure("NOT_FOUND");

    eventually("the deliveries are removed", async || app.database.number(query).await == 0).await;
    assert_eq!(app.database.number("SELECT count(*) FROM webhook_attempts").await, 0);
    assert_eq!(receiver.deliveries().len(), 1, "{:?}", receiver.deliveries());
}

#[tokio::test]
async fn an_endpoint_is_public_and_uses_tls() {
    let (_app, scene) = Scene::start_with(TestApp::builder().set("WEBHOOK_ALLOW_PRIVATE", "false")).await;
    let admin = &scene.cast.admin;
    let request = json!({ "url": "https://example.com/hooks" });
    let id = admin.rest("WebhookEndpointService.CreateWebhookEndpoint", request).await.success().id();
    for url in ["http://example.com/", "https://127.0.0.1/", "https://[::1]/", "https://localhost/"] {
        for protocol in PROTOCOLS {
            let create =
                admin.call(protocol, "WebhookEndpointService.CreateWebhookEndpoint", json!({ "url": url })).await;
            create.failure("VALIDATION_FAILED");
            let update = json!({ "endpointId": id, "endpoint": { "url": url } });
            let update = admin.call(protocol, "WebhookEndpointService.UpdateWebhookEndpoint", update).await;
            update.failure("VALIDATION_FAILED");
        }
    }
}

/// The old URL of an endpoint answers late with 410 (Gone), which must not disable the new one.
#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_moved_is_not_disabled_by_its_old_url() {
    let app = start_app(&[]).await;
    let scene = Scene::new(&app).await;
    let (old, new) = (Receiver::slow(&[410], Duration::from_secs(2)).await, Receiver::answering(&[204]).await);
    let (id, _) = create_endpoint(&scene, &old, &["support.ticket.created"]).await;
    scene.ticket().await;
    eventually("the old URL has the delivery", async || old.deliveries().len() == 1).await;
    let update = json!({ "endpointId": id, "endpoint": { "url": new.url() } });
    scene.cast.admin.rest("WebhookEndpointService.UpdateWebhookEndpoint", update).await.success();
    let delivered = wait_for_delivery(&scene, &id, "DELIVERED").await;
    assert_eq!((delivered["attemptCount"].clone(), new.deliveries().len()), (json!(2), 1), "{delivered}");
    assert_eq!(endpoint_status(&scene, &id).await, "WEBHOOK_ENDPOINT_STATUS_ENABLED");
}

/// An event happens while an endpoint is being removed, and the removal is rolled back: the endpoint gets the event.
#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_whose_removal_is_undone_misses_no_event() {
    let app = start_app(&[]).await;
    let scene = Scene::new(&app).await;
    let receiver = Receiver::answering(&[204]).await;
    let (id, _) = create_endpoint(&scene, &receiver, &["support.ticket.created"]).await;
    let removal = connect(&app.database.url).await;
    removal.batch_execute("BEGIN; DELETE FROM webhook_endpoints").await.expect("a removal");
    let undo = async {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
                     AND datname = current_database()";
        eventually("the event waits for the removal", async || app.database.number(waits).await > 0).await;
        removal.batch_execute("ROLLBACK").await.expect("undone");
    };
    tokio::join!(scene.ticket(), undo);
    wait_for_delivery(&scene, &id, "DELIVERED").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn private_networks_are_not_reachable() {
    let (allowed, scene) = Scene::start_with(TestApp::builder().set("WEBHOOK_ALLOW_PRIVATE", "true")).await;
    let receiver = Receiver::answering(&[200]).await;
    let (id, _) = create_endpoint(&scene, &receiver, &[]).await;
    // The same endpoint in an app that does not allow private addresses: the app does not connect to any stored URL
    // there.
    let strict = TestApp::builder().on(&allowed.database).set("WEBHOOK_ALLOW_PRIVATE", "false").start().await;
    for url in
        [receiver.url(), receiver.url().replace("127.0.0.1", "localhost"), receiver.url().replace("127.0.0.1", "127.1")]
    {
        let delivery = mainstay_kernel::id::new(strict.app.clock.now());
        let update = format!(
            "UPDATE webhook_endpoints SET url = '{url}';
             INSERT INTO webhook_deliveries VALUES ('{delivery}', '{id}', '{delivery}', 'support.ticket.created', '{{}}', 1, 0, 0, now(), 1, now(), now())"
        );
        allowed.database.sql(&update).await;
        let endpoint = WebhookEndpointId(id.parse().expect("an id"));
        let job = DeliverWebhook { delivery: WebhookDeliveryId(delivery), endpoint };
        deliver_due(&strict.app, job, &CancellationToken::new()).await.expect("written down");
        let attempts =
            format!("SELECT failure FROM webhook_attempts WHERE delivery_id = '{delivery}' AND status IS NULL");
        let failure = allowed.database.sql(&attempts).await[0][0].clone().expect("a failure");
        assert!(failure.contains("not a public one"), "{url}: {failure}");
    }
    assert_eq!(receiver.deliveries().len(), 0, "{:?}", receiver.deliveries());
}

/// The scope to manage endpoints does not replace the scopes that permit to read the resources of the events.
#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_receives_what_the_caller_may_read() {
    let (app, scene) = Scene::start().await;
    let (admin, agent) = (&scene.cast.admin, scene.cast.agent.as_user());
    let role = role(admin, &["webhooks.endpoints.manage", "orders.read"]).await;
    let assign = json!({ "userId": agent.id.to_string(), "role": "ROLE_AGENT", "staffRoleId": role });
    admin.rest("UserService.SetUserRole", assign).await.success();
    let manager = Actor::user(&app.endpoint, agent.clone());
    let create = |types: &[&str]| json!({ "url": "https://example.com/hooks", "eventTypes": types });
    let all = admin.rest(CREATE, create(&[])).await.success().id();
    let delivery = format!(
        "INSERT INTO webhook_deliveries VALUES (gen_random_uuid(), '{all}', gen_random_uuid(), 'support.ticket.created',
             '{{}}', 3, 1, 1, NULL, 1, now(), now()) RETURNING id"
    );
    let delivery = app.database.sql(&delivery).await[0][0].clone().expect("an id");
    for protocol in PROTOCOLS {
        let call = async |method: &str, request: Value| manager.call(protocol, method, request).await;
        for types in [&[][..], &["support.ticket.created"], &["orders.order.paid", "payments.payment.failed"]] {
            let refused = call(CREATE, create(types)).await.failure("PERMISSION_DENIED");
            assert!(protocol == Protocol::Grpc || refused.body.to_string().contains(".read"), "{refused:#?}");
        }
        let own = call(CREATE, create(&["orders.order.paid"])).await.success().id();
        for (id, change) in [
            (&own, json!({ "eventTypes": ["orders.order.paid", "support.ticket.created"] })),
            (&own, json!({ "eventTypes": [] })),
            (&all, json!({ "url": "https://example.com/mine" })),
            (&all, json!({ "eventTypes": ["orders.order.paid"] })),
        ] {
            let mask = change.as_object().and_then(|change| change.keys().next()).expect("a field").clone();
            let request = json!({ "endpointId": id, "endpoint": change, "updateMask": mask });
            call(UPDATE, request).await.failure("PERMISSION_DENIED");
        }
        let moved = json!({ "endpointId": own, "endpoint": { "url": "https://example.com/other" } });
        call(UPDATE, moved).await.success();
        // What was sent is as readable as what will be.
        for method in ["GetWebhookDelivery", "ResendWebhookDelivery"] {
            let request = json!({ "deliveryId": delivery });
            call(&format!("WebhookDeliveryService.{method}"), request).await.failure("PERMISSION_DENIED");
        }
        let list =
            async |id: &str| call("WebhookDeliveryService.ListWebhookDeliveries", json!({ "endpointId": id })).await;
        list(&all).await.failure("PERMISSION_DENIED");
        list(&own).await.success();
        call("WebhookEndpointService.DeleteWebhookEndpoint", json!({ "endpointId": own })).await.success();
    }
}
