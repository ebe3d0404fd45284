//! Tests with a simulated on-call service, in paused time that advances only when all tasks wait.

use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use tower::{service_fn, util::BoxCloneSyncService};

use super::*;
use crate::outbound::transport;

/// The status of the service's responses, and the requests that it received.
type Simulated = Arc<Mutex<(u16, Vec<Value>)>>;

fn client(simulated: &Simulated) -> Client {
    let simulated = simulated.clone();
    let answer = service_fn(move |request: http::Request<transport::Body>| {
        let simulated = simulated.clone();
        async move {
            let body = request.into_body().collect().await.expect("a body").to_bytes();
            let mut simulated = simulated.lock().expect("no panic");
            simulated.1.push(serde_json::from_slice(&body).expect("an event"));
            let body = Full::new(Bytes::new()).map_err(|never| match never {}).boxed();
            Ok(http::Response::builder().status(simulated.0).body(body).expect("an answer"))
        }
    });
    Client::over(PROVIDER, BOUNDS, BoxCloneSyncService::new(answer), &Alerts::default())
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_back_is_found_although_there_is_no_alert() {
    let simulated = Simulated::new(Mutex::new((503, Vec::new())));
    let client = client(&simulated);
    let service = Service {
        client: client.clone(),
        format: OnCallFormat::PagerDuty,
        url: "http://service/v2/enqueue".to_owned(),
        key: SecretString::from("hunter2hunter2"),
        clock: Clock::default(),
    };
    let (sink, alerts) = mpsc::channel(1);
    tokio::spawn(service.run(alerts));
    let requests = || simulated.lock().expect("no panic").1.len();

    // The outage lasts longer than the retries of an alert.
    let event = AlertEvent::Raised { detail: "a test".to_owned() };
    sink.send(Alert { provider: "jobs", cause: "loop_panicked", subject: "schedule".to_owned(), event }).await.ok();
    tokio::time::sleep(2 * CALLS * LONGEST_WAIT).await;
    assert_ne!(client.circuit(), Circuit::Closed);
    let before = requests();
    tokio::time::sleep(10 * LONGEST_WAIT).await;
    let probes = simulated.lock().expect("no panic").1.split_off(before);
    assert!(probes.len() >= 5, "{probes:?}");
    assert!(probes.iter().all(|event| event["event_action"] == "resolve"), "they open no incident: {probes:?}");

    simulated.lock().expect("no panic").0 = 202;
    tokio::time::sleep(2 * LONGEST_WAIT).await;
    assert_eq!(client.circuit(), Circuit::Closed);
    let before = requests();
    tokio::time::sleep(10 * LONGEST_WAIT).await;
    assert_eq!(requests(), before, "there is nothing to find out any more");
    drop(sink);
}
