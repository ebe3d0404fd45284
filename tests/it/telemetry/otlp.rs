//! A receiver of traces over OTLP, which records the spans.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::header,
    routing::post,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// A span, with ids as hexadecimal text.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub(super) trace: String,
    pub(super) id: String,
    pub(super) parent: String,
    pub(super) name: String,
    /// Its own attributes and those of its process.
    attributes: Vec<(String, String)>,
}

impl Span {
    /// An attribute as text; empty if there is none.
    pub(super) fn attribute(&self, name: &str) -> &str {
        self.attributes.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Whether one of its attributes contains a text.
    pub(super) fn mentions(&self, text: &str) -> bool {
        self.name.contains(text) || self.attributes.iter().any(|(_, value)| value.contains(text))
    }
}

/// The receiver, over gRPC and over HTTP; it ends with the test.
#[derive(Debug, Clone, Default)]
pub(super) struct Collector(Arc<Mutex<Vec<Span>>>);

impl Collector {
    /// Starts to receive over gRPC.
    pub(super) async fn grpc() -> (Self, SocketAddr) {
        let (collector, listener) = (Self::default(), TcpListener::bind("127.0.0.1:0").await.expect("a port"));
        let address = listener.local_addr().expect("an address");
        let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(collector.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        (collector, address)
    }

    /// Starts to receive over HTTP.
    pub(super) async fn http() -> (Self, SocketAddr) {
        let (collector, listener) = (Self::default(), TcpListener::bind("127.0.0.1:0").await.expect("a port"));
        let address = listener.local_addr().expect("an address");
        let receive = async |State(collector): State<Self>, body: Bytes| {
            collector.add(ExportTraceServiceRequest::decode(body).expect("protobuf"));
            ([(header::CONTENT_TYPE, "application/x-protobuf")], Bytes::new())
        };
        let routes = Router::new().route("/v1/traces", post(receive));
        // The exporter drops a batch that is refused.
        let router = routes.layer(DefaultBodyLimit::disable()).with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (collector, address)
    }

    fn add(&self, request: ExportTraceServiceRequest) {
        let mut all = self.0.lock().expect("no panic");
        for process in request.resource_spans {
            let common = process.resource.map(|resource| resource.attributes).unwrap_or_default();
            for span in process.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                all.push(Span {
                    trace: hex(&span.trace_id),
                    id: hex(&span.span_id),
                    parent: hex(&span.parent_span_id),
                    name: span.name,
                    attributes: span.attributes.iter().chain(&common).map(text).collect(),
                });
            }
        }
    }

    /// The spans so far.
    pub(super) fn spans(&self) -> Vec<Span> {
        self.0.lock().expect("no panic").clone()
    }

    /// Waits for a span.
    pub(super) async fn wait_for(&self, what: &str, matches: impl Fn(&Span) -> bool) -> Span {
        let since = Instant::now();
        loop {
            if let Some(span) = self.spans().into_iter().find(&matches) {
                return span;
            }
            assert!(since.elapsed() < Duration::from_secs(60), "no {what} among {:#?}", self.spans());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.add(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(attribute: &KeyValue) -> (String, String) {
    let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
    let text = match value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(value)) => value.to_string(),
        other => format!("{other:?}"),
    };
    (attribute.key.clone(), text)
}
