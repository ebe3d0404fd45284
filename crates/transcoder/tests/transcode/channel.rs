//! A real gRPC server at the other end of a channel.

use std::time::Duration;

use http::Request;
use http_body_util::BodyExt as _;
use mainstay_transcoder::{Limits, StatusDialect, Transcoder};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Response, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower::ServiceExt as _;

use crate::support::compile_text;

/// The health service's public contract, with HTTP rules that its official file lacks.
const HEALTH: &str = r#"
syntax = "proto3";
package grpc.health.v1;
import "google/api/annotations.proto";
message HealthCheckRequest { string service = 1; }
message HealthCheckResponse {
  enum ServingStatus { UNKNOWN = 0; SERVING = 1; NOT_SERVING = 2; SERVICE_UNKNOWN = 3; }
  ServingStatus status = 1;
}
service Health {
  rpc Check(HealthCheckRequest) returns (HealthCheckResponse) {
    option (google.api.http) = { get: "/health/{service}" additional_bindings { get: "/health" } };
  }
  rpc Watch(HealthCheckRequest) returns (stream HealthCheckResponse) {
    option (google.api.http) = { get: "/health/{service}:watch" };
  }
}
"#;

/// A service that is slower than any timeout.
struct Slow;

#[tonic::async_trait]
impl Health for Slow {
    type WatchStream = tokio_stream::Pending<Result<HealthCheckResponse, Status>>;

    async fn check(&self, _: tonic::Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        std::future::pending().await
    }

    async fn watch(&self, _: tonic::Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        std::future::pending().await
    }
}

type Rest = Transcoder<Channel, StatusDialect>;

async fn serve() -> (Rest, tonic_health::server::HealthReporter) {
    let (reporter, service) = tonic_health::server::health_reporter();
    reporter.set_service_status("shop", ServingStatus::Serving).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener)));
    (over(&format!("http://{address}")), reporter)
}

fn over(upstream: &str) -> Rest {
    let pool = compile_text(HEALTH);
    let channel = Endpoint::from_shared(upstream.to_owned()).unwrap().connect_lazy();
    let dialect = StatusDialect::new(&pool, 1 << 20);
    Transcoder::new(&pool, &["grpc.health.v1.Health"], channel, dialect, Limits::default()).unwrap()
}

async fn get(rest: &Rest, uri: &str) -> (u16, String) {
    let response = rest.clone().oneshot(Request::get(uri).body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn another_server_is_served_over_a_channel() {
    let (rest, _reporter) = serve().await;
    assert_eq!(get(&rest, "/health").await, (200, r#"{"status":"SERVING"}"#.to_owned()));
    assert_eq!(get(&rest, "/health?service=shop").await.0, 200);
    let (status, body) = get(&rest, "/health/nope").await;
    assert_eq!(status, 404);
    assert!(body.starts_with(r#"{"code":5,"message":""#), "{body}");
}

#[tokio::test]
async fn a_stream_is_handed_on_as_it_comes() {
    let (rest, reporter) = serve().await;
    let request = Request::get("/health/shop:watch").body(Body::empty()).unwrap();
    let mut body = rest.oneshot(request).await.unwrap().into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "{\"status\":\"SERVING\"}\n");
    reporter.set_service_status("shop", ServingStatus::NotServing).await;
    let second = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(second, "{\"status\":\"NOT_SERVING\"}\n");
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_unavailable() {
    let (status, body) = get(&over("http://127.0.0.1:1"), "/health").await;
    assert_eq!(status, 503, "{body}");
}

/// The timeouts of the call, of its channel and of its server expire at about the same time; whichever is first, the client
/// did not give up.
#[tokio::test]
async fn an_expired_timeout_is_no_cancellation() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::from_shared(format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let server = Server::builder().add_service(HealthServer::new(Slow));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let pool = compile_text(HEALTH);
    for (timeout, endpoint) in [(Some("20m"), endpoint.clone()), (None, endpoint.timeout(Duration::from_millis(20)))] {
        let dialect = StatusDialect::new(&pool, 1 << 20);
        let channel = endpoint.connect_lazy();
        let rest = Transcoder::new(&pool, &["grpc.health.v1.Health"], channel, dialect, Limits::default()).unwrap();
        let calls = (0..20).map(|number| {
            let uri = if number % 2 == 0 { "/health" } else { "/health/shop:watch" };
            let request =
                timeout.into_iter().fold(Request::get(uri), |request, text| request.header("grpc-timeout", text));
            rest.clone().oneshot(request.body(Body::empty()).unwrap())
        });
        for response in futures_util::future::join_all(calls).await {
            assert_eq!(response.unwrap().status(), 504, "{timeout:?}");
        }
    }
}
