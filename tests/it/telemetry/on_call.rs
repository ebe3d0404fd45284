//! Alerts, sent to a real receiver in place of the on-call service.

use std::sync::{Arc, Mutex};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;

use crate::{
    cases::Scene,
    payment,
    support::{Process, Protocol, TestDatabase, eventually, gateway::FakeGateway},
};

const KEY: &str = "hunter2hunter2";

/// A request to the on-call service.
#[derive(Debug, Clone, PartialEq)]
struct Event {
    path: String,
    authorization: String,
    body: Value,
}

/// The on-call service: rejects the first alerts with these statuses, and accepts the others.
#[derive(Debug, Clone, Default)]
struct Service {
    refusals: Arc<Mutex<Vec<u16>>>,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Service {
    /// Starts it, and returns its address.
    async fn start(refusals: &[u16]) -> (Self, String) {
        let service = Self { refusals: Arc::new(Mutex::new(refusals.to_vec())), ..Self::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let take = async |State(service): State<Self>, uri: Uri, headers: HeaderMap, Json(body): Json<Value>| {
            let authorization = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
            let event = Event { path: uri.to_string(), authorization: authorization.to_owned(), body };
            let is_raised = event.is_raised();
            service.events.lock().expect("no panic").push(event);
            let mut refusals = service.refusals.lock().expect("no panic");
            let status = if is_raised { refusals.pop() } else { None };
            StatusCode::from_u16(status.unwrap_or(202)).expect("a status")
        };
        let router = Router::new().fallback(take).with_state(service.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (service, format!("http://{address}"))
    }

    fn events(&self) -> Vec<Event> {
        self.events.lock().expect("no panic").clone()
    }

    /// The alerts that were raised.
    fn raised_alerts(&self) -> Vec<Value> {
        self.events().into_iter().filter(Event::is_raised).map(|event| event.body).collect()
    }
}

impl Event {
    fn is_raised(&self) -> bool {
        self.path == "/v2/alerts" || self.body["event_action"] == "trigger"
    }
}

async fn server_that_alerts(database: &TestDatabase, url: &str) -> Process {
    let url = format!("{url}/v2/enqueue");
    let own = [("ON_CALL_URL", url.as_str()), ("ON_CALL_ROUTING_KEY", KEY), ("MAINSTAY_FAULTS", "schedule.due=panic")];
    Process::with(database, &own).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_reaches_the_on_call_service_once() {
    let (service, url) = Service::start(&[503]).await;
    let database = TestDatabase::new().await;
    let server = server_that_alerts(&database, &url).await;
    eventually("the service has the event", async || service.raised_alerts().len() > 1).await;
    let events = service.raised_alerts();
    // The temporarily rejected alert, and its repetition.
    assert_eq!(events[0], events[1]);
    let event = &events[1];
    assert_eq!((&event["event_action"], &event["routing_key"]), (&json!("trigger"), &json!(KEY)));
    let payload = &event["payload"];
    assert_eq!(payload["summary"], "jobs: loop_panicked (schedule)", "{event}");
    assert_eq!((&payload["component"], &payload["class"]), (&json!("jobs"), &json!("loop_panicked")));
    assert_eq!((&payload["severity"], &payload["source"]), (&json!("error"), &json!("mainstay")));
    assert!(payload["timestamp"].as_str().is_some_and(|time| time.contains('T')), "{event}");

    // The loop continues to panic, and a second instance has the same fault: all of it is one incident.
    let second = server_that_alerts(&database, &url).await;
    eventually("the second instance reports it too", async || service.raised_alerts().len() > 2).await;
    assert_eq!(service.raised_alerts()[2]["dedup_key"], event["dedup_key"]);
    eventually("the loop panicked again", async || server.log().matches("panicked").count() > 3).await;
    assert_eq!(service.raised_alerts().len(), 3, "{:?}", service.raised_alerts());
    for server in [&server, &second] {
        assert!(!server.log().contains("hunter2"), "{}", server.log());
        let metrics = server.private.get("/metrics").await.body.to_string();
        assert!(metrics.contains("mainstay_alerts_undelivered_total 0"), "{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_the_service_rejects_is_counted() {
    let (service, url) = Service::start(&[400]).await;
    let database = TestDatabase::new().await;
    let server = server_that_alerts(&database, &url).await;
    server.wait_for_log("the on-call service did not accept an alert").await;
    assert_eq!(service.raised_alerts().len(), 1, "a rejected event is not repeated");
    let metrics = server.private.get("/metrics").await.body.to_string();
    assert!(metrics.contains("mainstay_alerts_undelivered_total 1"), "{metrics}");
}

/// Returns the key of the incident about an unsettled payment.
fn unsettled(id: &str) -> String {
    let hash = Sha256::digest(format!("mainstay/gateway/unsettled/{id}"));
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lets the gateway reject a server's credentials, and then accept those of its successor. Returns the alert, and the
/// following events.
async fn rejected_and_accepted(format: &str, path: &str) -> (Event, Vec<Event>) {
    let (service, url) = Service::start(&[]).await;
    let url = format!("{url}{path}");
    let gateway = FakeGateway::start().await;
    let database = Arc::new(TestDatabase::new().await);
    let own = [
        ("ON_CALL_FORMAT", format),
        ("ON_CALL_URL", url.as_str()),
        ("ON_CALL_ROUTING_KEY", KEY),
        ("PAYMENT_RETRY_WAIT", "100ms"),
    ];
    let server = payment::process(&database, &gateway, &own).await;
    let scene = Scene::at(&server, &database).await;
    gateway.behave(json!({ "refuse": 401 }), 0).await;
    let request = payment::charge_of(&scene).await;
    let charge =
        scene.cast.customer.keyed(Protocol::Rest, "PaymentService.ChargePayment", request, "one").await.success();
    assert_eq!(charge.status, 202);
    let is_about_it =
        |event: &Event| event.is_raised() && event.body.to_string().contains("stripe: auth (credentials)");
    eventually("the alert is raised", async || service.events().iter().any(is_about_it)).await;
    // So late that an alert about the unsettled payment may have been sent.
    database.sql("UPDATE payments SET created_at = created_at - interval '10 minutes'").await;
    // An operator corrects the key, and restarts the server.
    assert!(!server.log().contains("hunter2"), "{}", server.log());
    drop(server);
    gateway.behave_well().await;
    let before = service.events();
    let raised = before.iter().find(|event| is_about_it(event)).expect("the alert").clone();
    let key = raised.body["dedup_key"].as_str().or(raised.body["alias"].as_str()).expect("a key").to_owned();
    let server = payment::process(&database, &gateway, &own).await;
    assert_eq!(gateway.settled_books(&database).await, 1);
    let followed = || service.events().split_off(before.len());
    for (what, key) in [("the credentials", key), ("the payment", unsettled(&charge.id()))] {
        let is_of_it = |event: &Event| event.path.contains(&key) || event.body.to_string().contains(&key);
        eventually(&format!("the service hears of {what} again"), async || followed().iter().any(is_of_it)).await;
    }
    assert!(!server.log().contains("hunter2"), "{}", server.log());
    (raised, followed())
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_alerts_are_resolved_at_pagerduty() {
    let (raised, followed) = rejected_and_accepted("pagerduty", "/v2/enqueue").await;
    let over = json!({
        "routing_key": KEY, "dedup_key": raised.body["dedup_key"], "event_action": "resolve",
    });
    assert!(followed.iter().any(|event| event.path == "/v2/enqueue" && event.body == over), "{followed:#?}");
    assert!(!followed.iter().any(Event::is_raised), "{followed:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn opsgenie_takes_alerts_and_closes_what_is_over() {
    let (raised, followed) = rejected_and_accepted("opsgenie", "/v2/alerts").await;
    assert_eq!((raised.path.as_str(), raised.authorization), ("/v2/alerts", format!("GenieKey {KEY}")));
    let alert = &raised.body;
    assert_eq!((&alert["entity"], &alert["source"]), (&json!("stripe"), &json!("mainstay")));
    assert_eq!(alert["tags"], json!(["mainstay", "stripe", "auth"]));
    assert!(alert["description"].as_str().is_some_and(|detail| !detail.is_empty()), "{alert}");
    let close = format!("/v2/alerts/{}/close?identifierType=alias", alert["alias"].as_str().expect("an alias"));
    let is_close = |event: &Event| event.path == close && event.authorization == format!("GenieKey {KEY}");
    assert!(followed.iter().any(is_close), "{followed:#?}");
    assert!(!followed.iter().any(Event::is_raised), "{followed:#?}");
}

/// An incident whose resolution was rolled back is not over.
#[tokio::test(flavor = "multi_thread")]
async fn an_incident_outlasts_a_commit_that_fails() {
    let (service, url) = Service::start(&[]).await;
    let url = format!("{url}/v2/enqueue");
    let gateway = FakeGateway::start().await;
    let database = Arc::new(TestDatabase::new().await);
    let own = [("ON_CALL_URL", url.as_str()), ("ON_CALL_ROUTING_KEY", KEY)];
    let faulty = [own[0], own[1], ("MAINSTAY_FAULTS", "outcome.before_commit=error")];
    let server = payment::process(&database, &gateway, &faulty).await;
    let scene = Scene::at(&server, &database).await;
    let request = payment::charge_of(&scene).await;
    let charge =
        scene.cast.customer.keyed(Protocol::Rest, "PaymentService.ChargePayment", request, "one").await.success();
    assert_eq!(charge.status, 202);
    let failed = async |times| server.log().matches("a worker will retry").count() >= times;
    eventually("the outcome can't be stored", async || failed(1).await).await;
    // So late that an alert may have been sent, and due at once.
    let overdue = "SET created_at = created_at - interval '10 minutes', leased_until = now(), due_at = now()";
    database.sql(&format!("UPDATE payments {overdue}")).await;
    eventually("a worker fails alike", async || failed(2).await).await;
    drop(server);

    let _server = payment::process(&database, &gateway, &own).await;
    database.sql(&format!("UPDATE payments {overdue}")).await;
    assert_eq!(gateway.settled_books(&database).await, 1);
    let key = unsettled(&charge.id());
    let ends = || service.events().iter().filter(|event| event.body["dedup_key"] == key.as_str()).count();
    eventually("the incident is over", async || ends() > 0).await;
    assert_eq!(ends(), 1, "{:#?}", service.events());
}
