//! Alerts at a real receiver in the place of the on-call service.

use std::sync::{Arc, Mutex};

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{Process, TestDatabase, eventually};

/// The on-call service: refuses the first events with these statuses, and takes the others.
#[derive(Debug, Clone, Default)]
struct Service {
    refusals: Arc<Mutex<Vec<u16>>>,
    events: Arc<Mutex<Vec<Value>>>,
}

impl Service {
    async fn start(refusals: &[u16]) -> (Self, String) {
        let service = Self { refusals: Arc::new(Mutex::new(refusals.to_vec())), ..Self::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let take = async |State(service): State<Self>, Json(event): Json<Value>| {
            service.events.lock().expect("no panic").push(event);
            let status = service.refusals.lock().expect("no panic").pop().unwrap_or(202);
            StatusCode::from_u16(status).expect("a status")
        };
        let router = Router::new().route("/v2/enqueue", post(take)).with_state(service.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (service, format!("http://{address}/v2/enqueue"))
    }

    fn events(&self) -> Vec<Value> {
        self.events.lock().expect("no panic").clone()
    }
}

async fn server_that_alerts(database: &TestDatabase, url: &str) -> Process {
    let own =
        [("ON_CALL_URL", url), ("ON_CALL_ROUTING_KEY", "hunter2hunter2"), ("MAINSTAY_FAULTS", "schedule.due=panic")];
    Process::with(database, &own).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_reaches_the_on_call_service_once() {
    let (service, url) = Service::start(&[503]).await;
    let database = TestDatabase::new().await;
    let server = server_that_alerts(&database, &url).await;
    eventually("the service has the event", async || service.events().len() > 1).await;
    let events = service.events();
    // The one that was refused for now, and the same again.
    assert_eq!(events[0], events[1]);
    let event = &events[1];
    assert_eq!((&event["event_action"], &event["routing_key"]), (&json!("trigger"), &json!("hunter2hunter2")));
    let payload = &event["payload"];
    assert_eq!(payload["summary"], "jobs: loop_panicked (schedule)", "{event}");
    assert_eq!((&payload["component"], &payload["class"]), (&json!("jobs"), &json!("loop_panicked")));
    assert_eq!((&payload["severity"], &payload["source"]), (&json!("error"), &json!("mainstay")));
    assert!(payload["timestamp"].as_str().is_some_and(|time| time.contains('T')), "{event}");

    // The loop goes on to panic, and a second instance has the same trouble: all of it is one incident.
    let second = server_that_alerts(&database, &url).await;
    eventually("the second instance reports it too", async || service.events().len() > 2).await;
    assert_eq!(service.events()[2]["dedup_key"], event["dedup_key"]);
    eventually("the loop panicked again", async || server.log().matches("panicked").count() > 3).await;
    assert_eq!(service.events().len(), 3, "{:?}", service.events());
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
    server.says("the on-call service did not accept an alert").await;
    assert_eq!(service.events().len(), 1, "a rejected event is not repeated");
    let metrics = server.private.get("/metrics").await.body.to_string();
    assert!(metrics.contains("mainstay_alerts_undelivered_total 1"), "{metrics}");
}
