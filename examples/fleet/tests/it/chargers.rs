//! Tests of the webhooks of charging stations: a provider of the module.

use aws_lc_rs::hmac;
use chrono::TimeDelta;
use futures_util::future::join_all;
use mainstay_test_kit::{Response, TestServer};
use serde_json::{Value, json};

use crate::{lease, path, product, start, vehicle};

const OLD: &str = "the_old_secret_of_the_chargers";
const NEW: &str = "the_new_secret_of_the_chargers";
const PATH: &str = "/webhooks/fleet.chargers";

/// Starts a server while the secret is rotated.
async fn configured() -> TestServer {
    TestServer::builder(product()).set("CHARGER_SECRETS", &format!("{OLD},{NEW}")).start().await
}

/// Returns the signature of an event, some seconds ago.
fn signature(server: &TestServer, secret: &str, event: &Value, age: i64) -> String {
    let at = server.app().clock.now().timestamp() - age;
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), format!("{at}.{event}").as_bytes());
    let digits: String = mac.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={at},v1={digits}")
}

async fn send(server: &TestServer, path: &str, event: &Value, signature: &str) -> Response {
    server.anonymous().with("charger-signature", signature).post(path, event.clone()).await
}

async fn deliver(server: &TestServer, secret: &str, event: &Value) -> Response {
    send(server, PATH, event, &signature(server, secret, event, 0)).await
}

/// Adds a vehicle that is being recharged, without the job that ends it.
async fn recharging(server: &TestServer) -> Value {
    let vehicle = vehicle(&server.admin().await, "M-AI 1").await;
    server.database().sql("UPDATE fleet.vehicles SET status = 3").await;
    vehicle
}

fn completed(id: &str, vehicle: &Value) -> Value {
    json!({ "id": id, "type": "charge.completed", "vehicle": vehicle["id"] })
}

async fn stored(server: &TestServer) -> Vec<String> {
    server.database().sql("SELECT count(*) FROM inbound_events").await
}

#[tokio::test]
async fn an_event_changes_the_vehicle_once() {
    let server = configured().await;
    let admin = server.admin().await;
    let vehicle = recharging(&server).await;
    let event = completed("chg_1", &vehicle);
    assert_eq!(deliver(&server, OLD, &event).await.status, 204);
    server.run_jobs().await;
    let at = path("vehicles", &vehicle);
    assert_eq!(admin.get(&at).await.data()["status"], "VEHICLE_STATUS_AVAILABLE");

    // The charger sends the event again while the vehicle is recharged another time.
    server.database().sql("UPDATE fleet.vehicles SET status = 3").await;
    assert_eq!(deliver(&server, NEW, &event).await.status, 204, "the other secret of the rotation");
    server.run_jobs().await;
    let vehicle = admin.get(&at).await.data();
    assert_eq!((&vehicle["status"], &vehicle["version"]), (&json!("VEHICLE_STATUS_RECHARGING"), &json!("2")));
    assert_eq!(stored(&server).await, ["1"]);

    let listed = admin.get("/api/v1/inbound-events?providerName=fleet.chargers").await.data();
    let event = &listed[0];
    assert_eq!((&event["providerName"], &event["providerEventId"]), (&json!("fleet.chargers"), &json!("chg_1")));
    assert_eq!(event["provider"], "WEBHOOK_PROVIDER_UNSPECIFIED");
    assert_eq!(event["state"], "INBOUND_EVENT_STATE_PROCESSED");
    for filter in ["providerName=stripe", "provider=WEBHOOK_PROVIDER_STRIPE"] {
        assert_eq!(admin.get(&format!("/api/v1/inbound-events?{filter}")).await.data(), json!([]), "{filter}");
    }
}

/// The station reports the end of the session before the call that ordered the session has an outcome.
#[tokio::test]
async fn an_event_ends_the_effect_that_ordered_the_session() {
    let builder = TestServer::builder(product()).set("CHARGER_SECRETS", NEW);
    let server = builder.set("CHARGING_URL", "http://127.0.0.1:1").start().await;
    let customer = server.customer().await;
    let vehicle = vehicle(&server.admin().await, "M-AI 30").await;
    let give_back = async || {
        let end = format!("{}/end", path("leases", &lease(&customer, &vehicle).await));
        customer.post(&end, json!({})).await.success();
    };
    let state = async || {
        let sql = "SELECT status || ' ' || (SELECT count(*) FROM effects) FROM fleet.vehicles";
        server.database().sql(sql).await
    };
    give_back().await;
    server.run_jobs().await;
    let key = server.database().sql("SELECT id::text FROM effects").await.remove(0);
    let earlier = "0197c210-4a7d-7d31-9c52-7f6e5d4c3b2a";
    for (id, reference, expected) in [("chg_1", earlier, "3 1"), ("chg_2", key.as_str(), "1 0")] {
        let mut event = completed(id, &vehicle);
        event["reference"] = json!(reference);
        assert_eq!(deliver(&server, NEW, &event).await.status, 204);
        server.run_jobs().await;
        assert_eq!(state().await, [expected], "{id}");
    }
    // The next lease is not held up by the effect of the one before.
    give_back().await;
    assert_eq!(state().await, ["3 1"]);
}

#[tokio::test]
async fn an_event_that_arrives_sixteen_times_at_once_is_stored_once() {
    let server = configured().await;
    let vehicle = recharging(&server).await;
    let event = completed("chg_1", &vehicle);
    let responses = join_all((0..16).map(|_| deliver(&server, NEW, &event))).await;
    assert!(responses.iter().all(|response| response.status == 204), "{responses:?}");
    assert_eq!(stored(&server).await, ["1"]);
    let jobs = "SELECT count(*) FROM jobs WHERE kind = 'process_inbound_event'";
    assert_eq!(server.database().sql(jobs).await, ["1"]);
    server.run_jobs().await;
    assert_eq!(server.database().sql("SELECT version FROM fleet.vehicles").await, ["2"]);
}

#[tokio::test]
async fn an_event_without_a_recent_signature_is_refused() {
    let server = configured().await;
    let event = completed("chg_1", &json!({ "id": "0197c210-4a7d-7d31-9c52-7f6e5d4c3b2a" }));
    let good = signature(&server, NEW, &event, 0);
    for wrong in [
        signature(&server, "the_secret_of_an_impostor", &event, 0),
        signature(&server, NEW, &json!({}), 0),
        signature(&server, NEW, &event, 310),
        signature(&server, NEW, &event, -310),
        good.replace("t=", "t=1"),
        String::new(),
    ] {
        send(&server, PATH, &event, &wrong).await.failure(401, "INVALID_SIGNATURE");
    }
    server.anonymous().post(PATH, event.clone()).await.failure(401, "INVALID_SIGNATURE");
    // A request that was recorded is sent again when its signature is old.
    server.advance(TimeDelta::seconds(310));
    send(&server, PATH, &event, &good).await.failure(401, "INVALID_SIGNATURE");
    let nameless = json!({ "type": "charge.completed" });
    deliver(&server, NEW, &nameless).await.failure(400, "MALFORMED_REQUEST");
    assert_eq!(stored(&server).await, ["0"]);
}

#[tokio::test]
async fn a_challenge_is_answered_and_not_stored() {
    let tokens = "the_old_token_of_the_chargers,the_new_token_of_the_chargers";
    let builder = TestServer::builder(product()).set("CHARGER_SECRETS", NEW).set("CHARGER_VERIFY_TOKENS", tokens);
    let server = builder.start().await;
    let anonymous = server.anonymous();
    let check = |response: &Response, text: &str| {
        assert_eq!((response.status, &response.body), (200, &json!(text)));
        assert_eq!(response.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(response.header("x-content-type-options"), "nosniff");
    };
    let signed = json!({ "id": "evt_1", "type": "charger.verification", "challenge": "repeat_this" });
    check(&deliver(&server, NEW, &signed).await, "repeat_this");
    deliver(&server, OLD, &signed).await.failure(401, "INVALID_SIGNATURE");
    let subscribe = async |mode: &str, token: &str| {
        let query =
            format!("hub.mode={mode}&hub.verify_token={token}&hub.challenge=a%3Cb%3E&hub.topic=charges&env=live");
        anonymous.get(&format!("{PATH}?{query}")).await
    };
    for token in tokens.split(',') {
        check(&subscribe("subscribe", token).await, "a<b>");
    }
    for (mode, token) in [("unsubscribe", "the_new_token_of_the_chargers"), ("subscribe", "another"), ("subscribe", "")]
    {
        subscribe(mode, token).await.failure(401, "INVALID_SIGNATURE");
    }
    let validation = anonymous.post(&format!("{PATH}?validationToken=Validate+me%3A%201"), json!({})).await;
    check(&validation, "Validate me: 1");
    anonymous.get(PATH).await.failure(401, "INVALID_SIGNATURE");
    anonymous.get("/webhooks/fleet.doors?hub.mode=subscribe").await.failure(404, "NOT_FOUND");
    assert_eq!(stored(&server).await, ["0"]);
}

#[tokio::test]
async fn a_provider_without_a_secret_or_a_module_is_not_found() {
    let server = start().await;
    let event = json!({ "id": "chg_1", "type": "charge.completed" });
    for path in [PATH, "/webhooks/fleet.doors", "/webhooks/chargers"] {
        let signature = signature(&server, NEW, &event, 0);
        send(&server, path, &event, &signature).await.failure(404, "NOT_FOUND");
    }
}

#[tokio::test]
async fn dead_events_are_redriven_by_the_name_of_their_provider() {
    let server = configured().await;
    let admin = server.admin().await;
    // An event without a vehicle can never be processed.
    assert_eq!(deliver(&server, NEW, &json!({ "id": "chg_1", "type": "charge.completed" })).await.status, 204);
    server.run_jobs().await;
    let states = async || server.database().sql("SELECT state FROM inbound_events").await;
    assert_eq!(states().await, ["4"]);
    for (provider, count) in [("stripe", 0), ("fleet.doors", 0), ("fleet.chargers", 1)] {
        let redrive = json!({ "providerName": provider });
        let redriven = admin.post("/api/v1/inbound-events/redrive", redrive).await.data();
        assert_eq!(redriven, json!({ "count": count, "more": false }), "{provider}");
    }
    assert_eq!(states().await, ["1"]);
    server.run_jobs().await;
    assert_eq!(states().await, ["4"]);
    let redriven = admin.post("/api/v1/inbound-events/redrive", json!({})).await.data();
    assert_eq!(redriven["count"], 1, "those of all providers");
}
