//! What tells operators and balancers of an instance: health over gRPC during the drain, and the listener of a worker.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::support::{Process, TestDatabase, process::Running};

/// Envoy checks health over gRPC, and a draining instance still accepts connections during the delay.
#[tokio::test(flavor = "multi_thread")]
async fn a_draining_instance_is_not_serving_over_grpc() {
    let database = TestDatabase::new().await;
    let mut server = Process::with(&database, &[("DRAIN_DELAY", "3s")]).await;
    let mut client = HealthClient::new(server.endpoint.channel.clone());
    let mut status = async |service: &str| {
        let request = HealthCheckRequest { service: service.to_owned() };
        client.check(request).await.expect("an answer").into_inner().status()
    };
    for service in ["", "mainstay.support.v1.TicketService"] {
        assert_eq!(status(service).await, ServingStatus::Serving, "{service:?}");
    }
    server.signal(Signal::SIGTERM);
    server.says("shutting down").await;
    for service in ["", "mainstay.support.v1.TicketService"] {
        assert_eq!(status(service).await, ServingStatus::NotServing, "{service:?}");
    }
    let ready = reqwest::get(format!("http://{}/readyz", server.endpoint.address)).await.expect("an answer");
    assert_eq!(ready.status(), 503);
    assert!(server.ended().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_has_metrics_and_health_on_a_listener_of_its_own() {
    let database = TestDatabase::new().await;
    let address = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
    let address = address.to_string();
    let mut worker = Running::worker(&database, &[("METRICS_LISTEN_ADDR", &address)]).await;
    worker.says("running background jobs").await;
    let since = Instant::now();
    let metrics = loop {
        if let Ok(answer) = reqwest::get(format!("http://{address}/metrics")).await {
            let text = answer.text().await.expect("a text");
            if text.contains("mainstay_scheduled_task_last_success_timestamp_seconds") {
                break text;
            }
        }
        assert!(since.elapsed() < Duration::from_secs(30), "no task is measured: {}", worker.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(metrics.contains("mainstay_postgres_connections"), "{metrics}");
    for (path, status) in [("/livez", 200), ("/readyz", 200), ("/health", 200), ("/docs", 404)] {
        let answer = reqwest::get(format!("http://{address}{path}")).await.expect("an answer");
        assert_eq!(answer.status(), status, "{path}");
    }
    worker.signal(Signal::SIGTERM);
    assert!(worker.ended().await.success(), "{}", worker.log());
}
